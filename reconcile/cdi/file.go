package cdi

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Dirs are where vendors put their files; what is in a later one wins over an earlier one.
var Dirs = []string{"/etc/cdi", "/var/run/cdi"}

// file is a file of a vendor. A key that is not here is a fault: nobody knows what it would have asked for.
type file struct {
	Version     string            `yaml:"cdiVersion"`
	Kind        string            `yaml:"kind"` // vendor.com/class
	Annotations map[string]string `yaml:"annotations"`
	Devices     []device          `yaml:"devices"`
	Edits       edits             `yaml:"containerEdits"` // of whoever has one of Devices

	path string
}

type device struct {
	Name        string            `yaml:"name"`
	Annotations map[string]string `yaml:"annotations"`
	Edits       edits             `yaml:"containerEdits"`
}

type edits struct {
	Env            []string     `yaml:"env"`
	DeviceNodes    []deviceNode `yaml:"deviceNodes"`
	Mounts         []bind       `yaml:"mounts"`
	Hooks          []hook       `yaml:"hooks"`
	NetDevices     []any        `yaml:"netDevices"`
	IntelRdt       any          `yaml:"intelRdt"`
	AdditionalGIDs []uint32     `yaml:"additionalGids"`
}

type deviceNode struct {
	Path        string  `yaml:"path"`
	HostPath    string  `yaml:"hostPath"` // "" = Path
	Type        string  `yaml:"type"`
	Major       *int64  `yaml:"major"`
	Minor       *int64  `yaml:"minor"`
	FileMode    *uint32 `yaml:"fileMode"`
	Permissions string  `yaml:"permissions"` // of rwm
	UID         *uint32 `yaml:"uid"`
	GID         *uint32 `yaml:"gid"`
}

type bind struct {
	HostPath      string   `yaml:"hostPath"`
	ContainerPath string   `yaml:"containerPath"`
	Type          string   `yaml:"type"`
	Options       []string `yaml:"options"`
}

type hook struct {
	Name    string   `yaml:"hookName"`
	Path    string   `yaml:"path"`
	Args    []string `yaml:"args"`
	Env     []string `yaml:"env"`
	Timeout *int     `yaml:"timeout"`
}

// read parses a file. JSON is YAML too.
func read(path string) (*file, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &file{path: path}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(f); err != nil {
		return nil, fmt.Errorf("cannot read %s: %v", path, err)
	}
	if vendor, class, ok := strings.Cut(f.Kind, "/"); !ok || vendor == "" || class == "" {
		return nil, fmt.Errorf("cannot read %s: kind %q: expected vendor.com/class", path, f.Kind)
	}
	return f, nil
}

// list are the files of dir, by name. A directory that is not there has none.
func list(dir string) []string {
	var all []string
	entries, _ := os.ReadDir(dir) // one that cannot be read has no devices for us; those that are looked for are said to be missing
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".json" || ext == ".yaml") {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(all)
	return all
}
