package network

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/network/netns"
)

// A record is written before the kernel is changed and removed after it was changed back, so whoever reads
// it knows of everything that may exist. It says what shall be; what is, the kernel says.
type networkRecord struct {
	Epoch   string // the boot and namespace whose objects it describes
	Config  Config
	Created time.Time // zero in records of earlier versions
	Link    string    `json:"Bridge"` // the host's: the bridge, or the parent of the containers' interfaces. The key is that of earlier versions
	Pools   []Pool    // as allocated
	// Made: Link is a parent that goes with its last network. A bridge always is the network's own.
	Made bool `json:",omitempty"`
	// Deleting: the user was told that it is gone; only the link may still be there.
	Deleting bool `json:",omitempty"`
}

type sandboxRecord struct {
	Epoch     string
	Config    SandboxConfig
	Endpoints []Endpoint // as allocated
	Ports     []Port     // as bound
	handover
}

// records are the files below <run>/network.
type records struct {
	networks, sandboxes string
	epoch               string
}

func openRecords(dir string) (records, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return records{}, fmt.Errorf("cannot tell this boot from others: %w", err)
	}
	ns, err := netns.Identity()
	if err != nil {
		return records{}, err
	}
	return records{
		networks:  filepath.Join(dir, "networks"),
		sandboxes: filepath.Join(dir, "sandboxes"),
		epoch:     strings.TrimSpace(string(boot)) + "/" + strconv.FormatUint(ns, 10),
	}, nil
}

// file is where the record called name lies. Names of networks are the user's: hex keeps them one path element.
func file(dir, name string) string {
	return filepath.Join(dir, hex.EncodeToString([]byte(name))+".json")
}

func (r records) putNetwork(n networkRecord) error {
	n.Epoch = r.epoch
	return write(file(r.networks, n.Config.ID), n)
}

func (r records) putSandbox(s sandboxRecord) error {
	s.Epoch = r.epoch
	return write(file(r.sandboxes, s.Config.ContainerID), s)
}

func (r records) dropNetwork(id string) error { return remove(file(r.networks, id)) }
func (r records) dropSandbox(id string) error { return remove(file(r.sandboxes, id)) }

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

func (r records) load() (networks []networkRecord, sandboxes []sandboxRecord, err error) {
	networks, err = load(r.networks, func(n networkRecord) bool { return n.Epoch == r.epoch && n.Config.ID != "" })
	if err != nil {
		return nil, nil, err
	}
	sandboxes, err = load(r.sandboxes, func(s sandboxRecord) bool { return s.Epoch == r.epoch && s.Config.ContainerID != "" })
	return networks, sandboxes, err
}
