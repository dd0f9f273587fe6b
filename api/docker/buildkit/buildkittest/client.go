// Package buildkittest is a client of BuildKit's protocol for tests: it asks for builds as buildx does, and has files, secrets and credentials as a test says. BuildKit's own
// client is no part of the tests (ADR 80).
//
// Called by tests alone. May touch: the connections that it is given.
package buildkittest

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/stackrun/stack/api/docker/buildkit/grpc"
	"github.com/stackrun/stack/api/docker/buildkit/message"
)

// Build asks for one as buildx does, and returns what the exporter tells.
func Build(ctx context.Context, c *grpc.Client, ref, session string, attrs map[string]string, solve ...[]byte) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := make(chan string, 1)
	failed := make(chan error, 1)
	go func() {
		msg, err := c.Call(ctx, "/moby.buildkit.v1.Control/Solve", nil, Join(append([][]byte{Text(1, ref), Text(5, session)}, solve...)...))
		out <- string(msg)
		failed <- err
	}()
	h := http.Header{"buildkit-controlapi-buildid": {ref}}
	if _, err := c.Call(ctx, "/moby.buildkit.v1.frontend.LLBBridge/Ping", h, nil); err != nil {
		return "", err
	}
	var back []byte
	solved, err := c.Call(ctx, "/moby.buildkit.v1.frontend.LLBBridge/Solve", h, Join(Text(2, "dockerfile.v0"), Texts(3, attrs)))
	if err == nil {
		_, _, n := protowire.ConsumeTag(solved) // of field 3, that is given back as field 1
		result, _ := protowire.ConsumeBytes(solved[n:])
		back = Sub(1, result)
	} else {
		back = Sub(2, Number(1, uint64(grpc.CodeOf(err))), Text(2, err.Error()))
	}
	if _, err := c.Call(ctx, "/moby.buildkit.v1.frontend.LLBBridge/Return", h, back); err != nil {
		return "", err
	}
	return <-out, <-failed
}

// Told is all that is told of the build ref, as it comes.
func Told(ctx context.Context, c *grpc.Client, ref string) (string, error) {
	s, err := c.Open(ctx, "/moby.buildkit.v1.Control/Status", nil)
	if err != nil {
		return "", err
	}
	defer s.Close()
	if err := s.Send(Text(1, ref)); err != nil {
		return "", err
	}
	s.CloseSend()
	var all strings.Builder
	for {
		msg, err := s.Recv()
		if err == io.EOF {
			return all.String(), nil
		}
		if err != nil {
			return all.String(), err
		}
		all.Write(msg)
	}
}

// Text is a field of a message.
func Text(num protowire.Number, s string) []byte { return Sub(num, []byte(s)) }

// Sub is a field that is a message of these parts.
func Sub(num protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), Join(parts...))
}

// Number is a field of a message.
func Number(num protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), n)
}

// Join is all of them in a row.
func Join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// Texts is a field that is a map.
func Texts(num protowire.Number, m map[string]string) []byte {
	var all []byte
	for k, v := range m {
		all = append(all, Sub(num, Text(1, k), Text(2, v))...)
	}
	return all
}

// File is one that a client has: content, a directory, or whatever mode and link say.
type File struct {
	Path, Content string
	Mode          fs.FileMode
	Link          string
}

// Stat is f as it is named.
func (f File) Stat() []byte {
	return Sub(2, Text(1, f.Path), Number(2, uint64(f.Mode)), Number(5, uint64(len(f.Content))), Number(6, 1e18), Text(7, f.Link))
}

// Sends answers FileSync.DiffCopy with files, by the name of the client's directory, as BuildKit's sender does. It filters nothing.
func Sends(dirs map[string][]File) grpc.Methods {
	return grpc.Methods{"/moby.filesync.v1.FileSync/DiffCopy": func(_ context.Context, s *grpc.Stream) error {
		files, ok := dirs[s.Header.Get("dir-name")]
		if !ok {
			return grpc.Errorf(grpc.NotFound, "no access allowed to dir %q", s.Header.Get("dir-name"))
		}
		for _, f := range files {
			if err := s.Send(f.Stat()); err != nil {
				return err
			}
		}
		if err := s.Send(Number(1, uint64(message.PacketStat))); err != nil {
			return err
		}
		for {
			msg, err := s.Recv()
			if err != nil {
				return err
			}
			p, err := message.ReadPacket(msg)
			if err != nil {
				return err
			}
			switch p.Type {
			case message.PacketReq:
				for _, part := range []string{files[p.ID].Content, ""} {
					if err := s.Send(Join(Number(1, uint64(message.PacketData)), Number(3, uint64(p.ID)), Text(4, part))); err != nil {
						return err
					}
					if part == "" {
						break
					}
				}
			case message.PacketFin:
				return s.Send(Number(1, uint64(message.PacketFin)))
			}
		}
	}}
}
