package testimage

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"
)

// tree is the content of a layer to be: path without leading slash → entry.
type tree map[string]*entry

type entry struct {
	tar.Header
	body []byte
}

// epoch is the time of everything that does not come from a package.
var epoch = time.Unix(1700000000, 0).UTC()

// dropped is documentation and translations: of no use to a daemon, and half of the size.
var dropped = []string{
	"usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/lintian", "usr/share/locale", "usr/share/bug",
	"usr/share/doc-base", "usr/share/bash-completion", "usr/share/menu", "usr/share/pixmaps", "usr/share/common-licenses",
	"usr/share/i18n", "usr/lib/systemd", "lib/systemd", "etc/init.d", "etc/cron.daily", "etc/logrotate.d", "etc/ufw", "var/lib/systemd",
}

// merged are the directories that Debian 12 has below /usr and packages may still name at the root.
var merged = []string{"bin", "sbin", "lib", "lib64", "lib32", "libx32"}

// below says whether p is dir or inside it; dir may also be a prefix of a file's name ("…/llvmjit").
func below(p, dir string) bool { return strings.HasPrefix(p, dir) }

func clean(name string) string {
	p := strings.TrimPrefix(path.Clean("/"+name), "/")
	for _, m := range merged {
		if strings.HasPrefix(p, m+"/") {
			return "usr/" + p
		}
	}
	return p
}

// addPackage adds the files of one .deb. dpkg-deb unpacks the archive's own compression.
func (t tree) addPackage(ctx context.Context, deb string, omit []string) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = t.addTar(tar.NewReader(out), omit)
	io.Copy(io.Discard, out)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return fmt.Errorf("cannot read package %s: %w", deb, err)
	}
	return nil
}

func (t tree) addTar(r *tar.Reader, omit []string) error {
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := clean(h.Name)
		if name == "" || slices.Contains(merged, name) ||
			slices.ContainsFunc(dropped, func(d string) bool {
				return name == d || below(name, d+"/") || name == "usr/"+d || below(name, "usr/"+d+"/")
			}) ||
			slices.ContainsFunc(omit, func(d string) bool { return below(name, d) }) {
			continue
		}
		e := &entry{Header: tar.Header{
			Typeflag: h.Typeflag, Name: name, Linkname: h.Linkname, Mode: h.Mode, Uid: h.Uid, Gid: h.Gid, ModTime: h.ModTime,
		}}
		switch h.Typeflag {
		case tar.TypeReg:
			if e.body, err = io.ReadAll(r); err != nil {
				return err
			}
		case tar.TypeLink:
			e.Linkname = clean(h.Linkname)
		case tar.TypeDir, tar.TypeSymlink:
		default:
			return fmt.Errorf("%s is of a kind that a package should not have (%c)", h.Name, h.Typeflag)
		}
		if e.Typeflag == tar.TypeDir && t[name] != nil && t[name].Typeflag == tar.TypeDir {
			continue // the first package's owner and mode hold, as with dpkg
		}
		t[name] = e
	}
}

func (t tree) dir(d Dir) {
	t[d.Path] = &entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: d.Path, Mode: d.Mode, Uid: d.UID, Gid: d.GID, ModTime: epoch}}
}

func (t tree) file(name string, mode int64, body []byte) {
	t[name] = &entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, ModTime: epoch}, body: body}
}

func (t tree) link(name, target string) {
	t[name] = &entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777, ModTime: epoch}}
}

// write puts the tree into w in one order for one content: by path, which has parents before children,
// and hard links after everything that they can mean.
func (t tree) write(w io.Writer) error {
	tw := tar.NewWriter(w)
	names := slices.Sorted(maps.Keys(t))
	for _, links := range []bool{false, true} {
		for _, name := range names {
			e := t[name]
			if (e.Typeflag == tar.TypeLink) != links {
				continue
			}
			h := e.Header
			h.Size = int64(len(e.body))
			if h.Typeflag == tar.TypeDir {
				h.Name += "/"
			}
			h.Format = tar.FormatPAX
			if err := tw.WriteHeader(&h); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if _, err := tw.Write(e.body); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return tw.Close()
}
