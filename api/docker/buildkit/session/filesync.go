package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/stackrun/stack/api/docker/buildkit/grpc"
	"github.com/stackrun/stack/api/docker/buildkit/message"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sourcetree"
)

// Selection is what of a directory is wanted; the zero value is all of it. Patterns are those of .dockerignore.
type Selection struct {
	Include []string
	Exclude []string
}

// Receive puts what the client has in its directory name into dir, which is empty. received is told of the bytes that have come, all together; nil = nobody is.
// errdefs.ErrInvalidArgument says what is wrong with what was sent.
//
// The sender names all files, each by its place in the row, and then sends the content of those that are asked for, several at a time; an empty packet ends a file.
// https://github.com/tonistiigi/fsutil, receive.go
func (s *Session) Receive(ctx context.Context, name, dir string, sel Selection, limits sourcetree.Limits, received func(int64)) error {
	head := http.Header{"dir-name": {name}}
	for key, patterns := range map[string][]string{"include-patterns": sel.Include, "exclude-patterns": sel.Exclude} {
		encode(head, key, patterns)
	}
	encode(head, "dir-name", []string{name})
	stream, err := s.client.Open(ctx, "/moby.filesync.v1.FileSync/DiffCopy", head)
	if err != nil {
		return err
	}
	defer stream.Close()
	tree, err := sourcetree.Open(dir, limits)
	if err != nil {
		return err
	}
	r := &receiver{stream: stream, tree: tree, wanted: map[uint32]*message.Stat{}, open: map[uint32]*sourcetree.File{}, received: received, asked: newQueue()}
	defer r.abandon()
	sent := make(chan struct{})
	go func() { // beside what is received: the sender may take nothing in while it cannot get rid of what it has
		defer close(sent)
		for p := range r.asked.all {
			if err := stream.Send(p.Encode()); err != nil {
				return // what is received says why
			}
		}
	}()
	err = r.run()
	r.asked.end()
	if err != nil {
		stream.Close()
	}
	<-sent
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if absent(err) {
		return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("the client gives no access to its directory %q: %w", name, err))
	}
	return errors.Join(err, tree.Close())
}

// encode puts values that are no ASCII into a header as BuildKit's programs do.
func encode(h http.Header, key string, values []string) {
	if values == nil {
		return
	}
	h[key] = values
	for _, v := range values {
		if strings.ContainsFunc(v, func(r rune) bool { return r > 0x7f }) {
			h[key] = nil
			for _, v := range values {
				h[key] = append(h[key], url.QueryEscape(v))
			}
			h[key+"-encoded"] = []string{"1"}
			return
		}
	}
}

// maxOpen is how many files may come at a time. A sender of BuildKit's sends four.
const maxOpen = 64

type receiver struct {
	stream   *grpc.ClientStream
	tree     *sourcetree.Tree
	wanted   map[uint32]*message.Stat // whose content was asked for, and has not begun to come
	open     map[uint32]*sourcetree.File
	received func(int64)
	bytes    int64
	named    bool // all files are
	finished bool // and have come, which was said
	next     uint32
	asked    *queue
}

func (r *receiver) abandon() {
	for _, f := range r.open {
		f.Abandon()
	}
}

func bad(format string, args ...any) error {
	return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use the sources that the client has sent: "+format, args...))
}

// run receives until there is nothing more to come.
func (r *receiver) run() error {
	over := false
	for {
		msg, err := r.stream.Recv()
		switch {
		case err == io.EOF && over && len(r.wanted) == 0 && len(r.open) == 0:
			return nil
		case err == io.EOF:
			return bad("they end too early")
		case err != nil:
			return err
		}
		p, err := message.ReadPacket(msg)
		if err != nil {
			return bad("%w", err)
		}
		switch p.Type {
		case message.PacketErr:
			return fmt.Errorf("the client cannot send its sources: %s", p.Data)
		case message.PacketFin:
			over = true
			continue
		case message.PacketStat:
			err = r.stat(p.Stat)
		case message.PacketData:
			err = r.data(p.ID, p.Data)
		default:
			err = bad("a packet of type %d is not known", p.Type)
		}
		if err != nil {
			return err
		}
		if r.named && !r.finished && len(r.wanted) == 0 && len(r.open) == 0 {
			r.asked.put(message.Packet{Type: message.PacketFin})
			r.finished = true
		}
	}
}

// stat takes one entry in; nil = there are no more.
func (r *receiver) stat(s *message.Stat) error {
	if r.named {
		return bad("they go on after all of them were named")
	}
	if s == nil {
		r.named = true
		return nil
	}
	id := r.next
	r.next++
	if err := r.tree.Entry(); err != nil {
		return bad("%w", err)
	}
	if !fs.ValidPath(s.Path) {
		return bad("%q is no path of a directory", s.Path)
	}
	var err error
	switch kind := s.Mode.Type(); {
	case s.Mode.IsDir():
		err = r.tree.Dir(s.Path, s.Mode, s.ModTime)
	case kind == fs.ModeSymlink:
		err = r.tree.Symlink(s.Path, s.Linkname)
	case kind != 0:
		err = errors.New("it is a device, a pipe or a socket: sources are files, directories and links. A .dockerignore can leave it out")
	case s.Linkname != "": // another name of one that was named before, whose content may still come
		err = r.link(s)
	default:
		r.wanted[id] = s
		// It is there from now on, so that nothing else can be in its place when its content comes, and others can link to it.
		var f *sourcetree.File
		if f, err = r.tree.File(s.Path, s.Mode, s.ModTime); err == nil {
			err = f.Close()
		}
		r.asked.put(message.Packet{Type: message.PacketReq, ID: id})
	}
	if err != nil {
		return bad("%q: %w", s.Path, err)
	}
	return nil
}

func (r *receiver) link(s *message.Stat) error {
	if !fs.ValidPath(s.Linkname) {
		return fmt.Errorf("it is a link to %q, which is no path of the directory", s.Linkname)
	}
	return r.tree.Link(s.Path, s.Linkname)
}

// data takes in a part of a file.
func (r *receiver) data(id uint32, part []byte) error {
	f := r.open[id]
	if f == nil {
		w, ok := r.wanted[id]
		if !ok {
			return bad("file %d, which was not asked for, has come", id)
		}
		if len(r.open) >= maxOpen {
			return bad("more than %d files come at a time", maxOpen)
		}
		var err error
		if f, err = r.tree.Refill(w.Path, w.Mode, w.ModTime); err != nil {
			return bad("%q: %w", w.Path, err)
		}
		delete(r.wanted, id)
		r.open[id] = f
	}
	if len(part) == 0 {
		delete(r.open, id)
		return f.Close()
	}
	if r.bytes += int64(len(part)); r.received != nil {
		r.received(r.bytes)
	}
	if _, err := f.Write(part); err != nil {
		return bad("%w", err)
	}
	return nil
}
