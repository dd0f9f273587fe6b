package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/stackrun/stack/api/docker/buildkit/grpc"
	"github.com/stackrun/stack/api/docker/buildkit/message"
)

// absent says that the client has no such thing, or no such service.
func absent(err error) bool {
	var said *grpc.Error
	return errors.As(err, &said) && (said.Code == grpc.NotFound || said.Code == grpc.Unimplemented)
}

// Secret asks for the secret id; false = the client was not given it.
func (s *Session) Secret(ctx context.Context, id string) ([]byte, bool, error) {
	out, err := s.client.Call(ctx, "/moby.buildkit.secrets.v1.Secrets/GetSecret", nil, message.Named(id))
	if absent(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value, err := message.ReadData(out)
	return value, true, err
}

// Credentials asks for those of a registry; empty = the client has none.
func (s *Session) Credentials(ctx context.Context, host string) (user, secret string, err error) {
	out, err := s.client.Call(ctx, "/moby.filesync.v1.Auth/Credentials", nil, message.Named(host))
	if absent(err) {
		return "", "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("cannot ask the client for its credentials of %s: %w", host, err)
	}
	return message.ReadCredentials(out)
}

// Upload reads what the client has put at path on host: a stream, once. Close ends it.
func (s *Session) Upload(ctx context.Context, host, path string) (io.ReadCloser, error) {
	stream, err := s.client.Open(ctx, "/moby.upload.v1.Upload/Pull", http.Header{"urlpath": {path}, "urlhost": {host}})
	if err != nil {
		return nil, err
	}
	return &upload{stream: stream}, nil
}

// Agent asks whether the client has the SSH agent id.
func (s *Session) Agent(ctx context.Context, id string) (bool, error) {
	_, err := s.client.Call(ctx, "/moby.sshforward.v1.SSH/CheckAgent", nil, message.Named(id))
	if err != nil && (absent(err) || grpc.CodeOf(err) == grpc.Unknown) { // the last is how BuildKit says that it has not this one
		return false, nil
	}
	return err == nil, err
}

// TalkToAgent begins a conversation with the SSH agent id.
func (s *Session) TalkToAgent(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	stream, err := s.client.Open(ctx, "/moby.sshforward.v1.SSH/ForwardAgent", http.Header{"buildkit.ssh.id": {id}})
	if err != nil {
		return nil, err
	}
	return &talk{upload{stream: stream}}, nil
}

// talk is a stream both ways.
type talk struct{ upload }

func (t *talk) Write(p []byte) (int, error) {
	if err := t.stream.Send(message.Data(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

type upload struct {
	stream *grpc.ClientStream
	rest   []byte
}

func (u *upload) Read(p []byte) (int, error) {
	for len(u.rest) == 0 {
		msg, err := u.stream.Recv()
		if err != nil {
			return 0, err
		}
		if u.rest, err = message.ReadData(msg); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

func (u *upload) Close() error {
	u.stream.Close()
	return nil
}
