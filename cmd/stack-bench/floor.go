package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/network/netns"
)

const (
	floorBridge = "floor0"
	floorHost   = "10.254.0.1/24"
	floorServer = "10.254.0.2/24"
	floorClient = "10.254.0.3/24"
)

// floorTCP takes the figures of tcp from the kernel alone: two network namespaces on the bridge of a third, each by a veth pair.
// All three are its own, because engines set filters for every bridge of theirs; these have none. The "published port" is the
// server's own, asked for at its own address: to translate addresses is an engine's work.
func floorTCP(ctx context.Context, m *machine) ([]float64, error) {
	undo := cleanup.Make()
	defer undo.Clean()
	var ends []string
	for _, name := range []string{"host", "server", "client"} {
		path := filepath.Join(m.dir, "floor-"+name)
		if err := netns.Make(path, func(int) error { return nil }); err != nil {
			return nil, err
		}
		undo.Add(func() { _ = netns.Unbind(path) })
		ends = append(ends, path)
	}
	host, server, client := ends[0], ends[1], ends[2]
	if err := netns.Do(host, func() error { return floorWires(server, client) }); err != nil {
		return nil, err
	}

	sink := m.probe(ctx, "sink", ":9000")
	said, err := sink.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := netns.Do(server, sink.Start); err != nil {
		return nil, err
	}
	undo.Add(func() { _ = sink.Process.Kill(); _ = sink.Wait() })
	if _, err := bufio.NewReader(said).ReadString('\n'); err != nil {
		return nil, fmt.Errorf("probe sink does not listen: %w", err)
	}

	address, _, _ := strings.Cut(floorServer, "/")
	var rates []string
	for _, from := range []string{client, host} {
		err := netns.Do(from, func() error {
			rate, err := output(m.probe(ctx, "source", net.JoinHostPort(address, "9000"), "2000"))
			rates = append(rates, rate)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return numbers(rates...)
}

// floorWires makes the bridge where it is called, and eth0 in both namespaces. All of it goes with the namespaces.
func floorWires(server, client string) error {
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: floorBridge}}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("cannot make a bridge: %w", err)
	}
	if err := raise(floorBridge, floorHost); err != nil {
		return err
	}
	for i, end := range []struct{ path, address string }{{server, floorServer}, {client, floorClient}} {
		ns, err := os.Open(end.path)
		if err != nil {
			return err
		}
		defer ns.Close()
		veth := netlink.NewVeth(netlink.LinkAttrs{Name: fmt.Sprintf("floor%d", i+1), MasterIndex: bridge.Index})
		veth.PeerName, veth.PeerNamespace = "eth0", netlink.NsFd(ns.Fd())
		if err := netlink.LinkAdd(veth); err != nil {
			return fmt.Errorf("cannot make a veth pair: %w", err)
		}
		if err := netlink.LinkSetUp(veth); err != nil {
			return err
		}
		if err := netns.In(ns, func() error { return raise("eth0", end.address) }); err != nil {
			return err
		}
	}
	return nil
}

// raise gives the link of that name its address and sets it up.
func raise(name, address string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(l, a); err != nil {
		return fmt.Errorf("cannot give %s the address %s: %w", name, address, err)
	}
	return netlink.LinkSetUp(l)
}

// numbers are what programs wrote, one number each.
func numbers(said ...string) ([]float64, error) {
	var out []float64
	for _, s := range said {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
