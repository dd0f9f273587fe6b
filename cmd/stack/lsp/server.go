package lsp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/stackrun/stack/spec"
)

// Options are what the server knows of its surroundings.
type Options struct {
	FS      fs.FS             // the host's, rooted at "/"
	Env     map[string]string // the process environment
	Remote  spec.Fetcher      // brings remote files; nil refuses them
	Version string            // of this program
}

// errNoShutdown is an exit that no shutdown came before: the protocol wants exit status 1 then.
var errNoShutdown = errors.New("the client left without a shutdown")

// Serve answers the messages of r on w until the client says exit, r ends or ctx does. It handles one
// message after another; that a client sends requests before initialize is answered with an error.
func Serve(ctx context.Context, r io.Reader, w io.Writer, o Options) error {
	s := &server{Options: o, out: w, open: map[string]*document{}, published: map[string][]string{}}
	in := bufio.NewReader(r)
	for ctx.Err() == nil {
		m, err := read(in)
		switch {
		case errors.Is(err, io.EOF) && s.shutdown:
			return nil
		case errors.Is(err, io.EOF):
			return errNoShutdown
		case errors.Is(err, errMessage):
			null := json.RawMessage("null")
			err = s.answer(&null, nil, &fault{parseError, err.Error()})
		case err == nil && m.Method == "exit":
			if !s.shutdown {
				return errNoShutdown
			}
			return nil
		case err == nil:
			err = s.handle(ctx, m)
		}
		if err != nil {
			return fmt.Errorf("cannot serve the editor: %w", err)
		}
	}
	return ctx.Err()
}

// server is one client's.
type server struct {
	Options
	out         io.Writer
	initialized bool
	shutdown    bool
	open        map[string]*document // by path
	published   map[string][]string  // by path of the document: the files that have diagnostics because of it
}

// handle does what one message asks. An error is one of the streams; the client's faults are answered.
func (s *server) handle(ctx context.Context, m *message) error {
	switch {
	case m.Method == "": // a response; nothing is asked
		return nil
	case m.Method == "initialize":
		s.initialized = true
		return s.answer(m.ID, s.initialize(), nil)
	case m.ID != nil && !s.initialized:
		return s.answer(m.ID, nil, &fault{notInitialized, "initialize comes first"})
	case m.ID != nil && s.shutdown:
		return s.answer(m.ID, nil, &fault{invalidRequest, "the server has been shut down"})
	case m.Method == "shutdown":
		s.shutdown = true
		return s.answer(m.ID, nil, nil)
	}
	var p documentParams
	if len(m.Params) > 0 {
		if err := json.Unmarshal(m.Params, &p); err != nil && m.ID != nil {
			return s.answer(m.ID, nil, &fault{invalidParams, err.Error()})
		}
	}
	file, ok := pathOf(p.TextDocument.URI)
	switch m.Method {
	case "textDocument/didOpen":
		if ok {
			return s.changed(ctx, file, p.TextDocument.Text, p.TextDocument.Version)
		}
	case "textDocument/didChange":
		if n := len(p.ContentChanges); ok && n > 0 {
			return s.changed(ctx, file, p.ContentChanges[n-1].Text, p.TextDocument.Version)
		}
	case "textDocument/didSave":
		return s.checkAll(ctx)
	case "textDocument/didClose":
		if ok {
			return s.closed(file)
		}
	case "textDocument/completion":
		return s.answer(m.ID, s.completion(ctx, file, p.Position), nil)
	case "textDocument/hover":
		if h := s.hover(ctx, file, p.Position); h != nil {
			return s.answer(m.ID, h, nil)
		}
		return s.answer(m.ID, nil, nil)
	default:
		if m.ID != nil {
			return s.answer(m.ID, nil, &fault{methodNotFound, "no method " + m.Method})
		}
	}
	return nil
}

func (s *server) initialize() initializeResult {
	return initializeResult{
		Capabilities: capabilities{
			PositionEncoding:   "utf-16",
			TextDocumentSync:   syncOptions{OpenClose: true, Change: 1, Save: true},
			CompletionProvider: completionOptions{TriggerCharacters: []string{":", " ", "-", "$", "{"}},
			HoverProvider:      true,
		},
		ServerInfo: serverInfo{Name: "stack", Version: s.Version},
	}
}

// answer responds to the request id. A result of nil is JSON's null.
func (s *server) answer(id *json.RawMessage, result any, f *fault) error {
	if id == nil {
		return nil
	}
	if f == nil && result == nil {
		result = json.RawMessage("null")
	}
	return write(s.out, &message{ID: id, Result: result, Error: f})
}

func (s *server) notify(method string, params any) error {
	text, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("cannot write a notification: %w", err)
	}
	return write(s.out, &message{Method: method, Params: text})
}
