package record

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/network/netns"
)

// Store is the files with the records.
type Store struct {
	networks, sandboxes string // directories
	epoch               string
}

// Open is the store in dir, where there are the directories networks and sandboxes.
func Open(dir string) (*Store, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("cannot tell this boot from others: %w", err)
	}
	ns, err := netns.Identity()
	if err != nil {
		return nil, err
	}
	return &Store{
		networks:  filepath.Join(dir, "networks"),
		sandboxes: filepath.Join(dir, "sandboxes"),
		epoch:     strings.TrimSpace(string(boot)) + "/" + strconv.FormatUint(ns, 10),
	}, nil
}

// Epoch tells the network namespace of this process, in this boot of the host, from every other.
func (s *Store) Epoch() string { return s.epoch }

// file is where the record called name lies. Names of networks are the user's: hex keeps them one path element.
func file(dir, name string) string {
	return filepath.Join(dir, hex.EncodeToString([]byte(name))+".json")
}

// PutNetwork writes n, in place of what was of its name.
func (s *Store) PutNetwork(n Network) error {
	n.Epoch = s.epoch
	return write(file(s.networks, n.Config.ID), n)
}

// PutSandbox writes b, in place of what was of its container.
func (s *Store) PutSandbox(b Sandbox) error {
	b.Epoch = s.epoch
	return write(file(s.sandboxes, b.Config.ContainerID), b)
}

// DropNetwork removes the record of network id. Not there = success.
func (s *Store) DropNetwork(id string) error { return remove(file(s.networks, id)) }

// DropSandbox removes the record of a container's sandbox. Not there = success.
func (s *Store) DropSandbox(container string) error { return remove(file(s.sandboxes, container)) }

func write(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot record %s: %w", filepath.Base(path), err)
	}
	// The records die with the boot, so nothing is synced.
	return atomicfile.Write(path, b, 0o600, atomicfile.NoSync)
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot remove a record: %w", err)
	}
	return nil
}

// load reads the records of this epoch in dir and removes the others: what they describe went with its boot. A file that is
// not a record (a disk that was full, an editor) is removed too; its kernel objects are then nobody's and are swept.
func load[T any](dir string, epoch func(T) bool) ([]T, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the network records: %w", err)
	}
	var all []T
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read the network records: %w", err)
		}
		var v T
		if strings.HasPrefix(e.Name(), ".") || json.Unmarshal(b, &v) != nil || !epoch(v) {
			if err := remove(path); err != nil {
				return nil, err
			}
			continue
		}
		all = append(all, v)
	}
	return all, nil
}

// Load reads all that is recorded of this epoch. Of two sandboxes of which a crash has left the one half of a handover, both are as after it.
func (s *Store) Load() (networks []Network, sandboxes []Sandbox, err error) {
	networks, err = load(s.networks, func(n Network) bool { return n.Epoch == s.epoch && n.Config.ID != "" })
	if err != nil {
		return nil, nil, err
	}
	sandboxes, err = load(s.sandboxes, func(b Sandbox) bool { return b.Epoch == s.epoch && b.Config.ContainerID != "" })
	return networks, finishHandovers(sandboxes), err
}
