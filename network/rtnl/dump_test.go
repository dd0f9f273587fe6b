package rtnl

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestDumpReadsAgain(t *testing.T) {
	tries := 0
	list, err := dump(func() ([]int, error) {
		if tries++; tries < 3 {
			return []int{1}, netlink.ErrDumpInterrupted
		}
		return []int{1, 2}, nil
	})
	if err != nil || len(list) != 2 || tries != 3 {
		t.Errorf("after %d tries: %v, %v; want both elements after 3", tries, list, err)
	}
	tries = 0
	if _, err = dump(func() ([]int, error) { tries++; return nil, netlink.ErrDumpInterrupted }); !errors.Is(err, netlink.ErrDumpInterrupted) || tries != dumpTries {
		t.Errorf("a list that never settles: %v after %d tries", err, tries)
	}
}
