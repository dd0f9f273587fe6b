package record

import "testing"

// TestNames: the kernel takes them, and they are known again.
func TestNames(t *testing.T) {
	const ours, theirs = Names("00112233"), Names("44556677")
	for _, link := range []string{ours.Bridge(0), ours.Bridge(9999), ours.Veth(0), ours.Veth(0xfffff), ours.Dummy(9999), ours.Probe()} {
		if len(link) > 15 {
			t.Errorf("%s is longer than a name of a link may be", link)
		}
		if ours.Ours(link) == (link == ours.Probe()) || theirs.Ours(link) {
			t.Errorf("%s is ours: %v, theirs: %v", link, ours.Ours(link), theirs.Ours(link))
		}
	}
	if n, ok := ours.VethNumber(ours.Veth(0xabc)); !ok || n != 0xabc {
		t.Errorf("%x, %v", n, ok)
	}
	if n, ok := ours.VethNumber(ours.Bridge(1)); ok {
		t.Errorf("a bridge is veth %x", n)
	}
	used := []Network{{Link: ours.Bridge(0)}, {Link: ours.Bridge(2)}}
	if got := Free(used, ours.Bridge); got != ours.Bridge(1) {
		t.Error(got)
	}
}
