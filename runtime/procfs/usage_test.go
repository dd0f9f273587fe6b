package procfs

import "testing"

func TestParseNetDev(t *testing.T) {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     840      10    0    0    0     0          0         0      840      10    0    0    0     0       0          0
  eth0:    1296      16    0    0    0     0          0         0      816       8    0    0    0     0       0          0
  eth1:     4       1    0    0    0     0          0         0      5       1    0    0    0     0       0          0
`
	if in, out, err := parseNetDev([]byte(text)); err != nil || in != 1300 || out != 821 {
		t.Errorf("%d, %d, %v", in, out, err)
	}
	if in, out, err := parseNetDev(nil); err != nil || in != 0 || out != 0 {
		t.Errorf("nothing: %d, %d, %v", in, out, err)
	}
	for _, bad := range []string{"eth0: 1 2 3\n", "eth0: x 1 1 1 1 1 1 1 1\n"} {
		if _, _, err := parseNetDev([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestParseProcessIO(t *testing.T) {
	if in, out, err := parseProcessIO([]byte("rchar: 9\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 100\n")); err != nil || in != 4096 || out != 8092 {
		t.Errorf("%d, %d, %v", in, out, err)
	}
	if _, out, err := parseProcessIO([]byte("write_bytes: 1\ncancelled_write_bytes: 5\n")); err != nil || out != 0 {
		t.Errorf("another's writes, cancelled: %d, %v", out, err)
	}
	if _, _, err := parseProcessIO([]byte("read_bytes: x\n")); err == nil {
		t.Error("nonsense is taken")
	}
}
