package procfs

import (
	"slices"
	"testing"
)

// Lines of a machine with the byte order of x86 and arm.
func TestParseListening(t *testing.T) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	for _, tt := range []struct {
		name, table string
		ports       []int
	}{
		{"nobody", head, nil},
		{"everywhere", head + "   0: 00000000:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 3157 1\n", []int{5432}},
		{"one address", head + "   0: 0200C90A:0050 00000000:0000 0A 0 0 0 0 0 0 1\n", []int{80}},
		{"loopback", head + "   0: 0B00007F:8AD3 00000000:0000 0A 0 0 0 0 0 0 1\n", nil},
		{"a connection", head + "   0: 0200C90A:0050 0100C90A:D431 01 0 0 0 0 0 0 1\n", nil},
		{"IPv6, everywhere", head + "   0: 00000000000000000000000000000000:1F40 00000000000000000000000000000000:0000 0A 0 0 0 0 0 0 1\n", []int{8000}},
		{"IPv6, loopback", head + "   0: 00000000000000000000000001000000:1F40 00000000000000000000000000000000:0000 0A 0 0 0 0 0 0 1\n", nil},
		{"IPv4 in IPv6, loopback", head + "   0: 0000000000000000FFFF00000100007F:1F40 00000000000000000000000000000000:0000 0A 0 0 0 0 0 0 1\n", nil},
		{"nonsense", "a\nb c d e\n0: x:y z 0A\n0: 00:1F40 0 0A\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := parseListening([]byte(tt.table)); !slices.Equal(got, tt.ports) {
				t.Errorf("%v, expected %v", got, tt.ports)
			}
		})
	}
}
