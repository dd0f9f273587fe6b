package file_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/cmd/stack/stacktest"
)

// editorClient is an editor that has started `stack lsp`.
type editorClient struct {
	t       *testing.T
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	id      int
	pending []rpc // notifications that came while a response was waited for
}

type rpc struct {
	ID     *int            `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int
		Message string
	} `json:"error"`
}

func startEditor(t *testing.T, env ...string) *editorClient {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "lsp")
	cmd.Env = append([]string{stacktest.AsCommand + "=1", "HOME=/nowhere"}, env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &editorClient{t: t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() }) //nolint:errcheck // it has hung
	t.Cleanup(func() {
		timer.Stop()
		in.Close()
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // a test that wants its status waits before
	})
	return c
}

func (c *editorClient) send(v map[string]any) {
	c.t.Helper()
	v["jsonrpc"] = "2.0"
	body, err := json.Marshal(v)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c.in, "Content-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		c.t.Fatal(err)
	}
}

func (c *editorClient) read() rpc {
	c.t.Helper()
	h, err := textproto.NewReader(c.out).ReadMIMEHeader()
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	n, err := strconv.Atoi(h.Get("Content-Length"))
	if err != nil {
		c.t.Fatal(err)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c.out, body); err != nil {
		c.t.Fatal(err)
	}
	var m rpc
	if err := json.Unmarshal(body, &m); err != nil {
		c.t.Fatalf("%v: %s", err, body)
	}
	return m
}

// ask sends a request and gives its response.
func (c *editorClient) ask(method string, params any) rpc {
	c.t.Helper()
	c.id++
	c.send(map[string]any{"id": c.id, "method": method, "params": params})
	for {
		m := c.read()
		if m.ID != nil && *m.ID == c.id {
			return m
		}
		c.pending = append(c.pending, m)
	}
}

func (c *editorClient) tell(method string, params any) {
	c.t.Helper()
	c.send(map[string]any{"method": method, "params": params})
}

// faults waits for the next diagnostics of file and gives them, a line each.
func (c *editorClient) faults(file string) string {
	c.t.Helper()
	for {
		var m rpc
		if len(c.pending) > 0 {
			m, c.pending = c.pending[0], c.pending[1:]
		} else {
			m = c.read()
		}
		var p struct {
			URI         string
			Diagnostics []struct {
				Range    struct{ Start, End struct{ Line, Character int } }
				Severity int
				Message  string
			}
		}
		if err := json.Unmarshal(m.Params, &p); err != nil {
			c.t.Fatal(err)
		}
		if m.Method != "textDocument/publishDiagnostics" || p.URI != "file://"+file {
			continue
		}
		var b strings.Builder
		for _, d := range p.Diagnostics {
			fmt.Fprintf(&b, "%d:%d-%d %d %s\n", d.Range.Start.Line, d.Range.Start.Character, d.Range.End.Character, d.Severity, strings.ReplaceAll(d.Message, "\n", " | "))
		}
		return b.String()
	}
}

func (c *editorClient) open(file, text string) {
	c.tell("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": "file://" + file, "languageId": "yaml", "version": 1, "text": text}})
}

func (c *editorClient) change(file, text string) {
	c.tell("textDocument/didChange", map[string]any{"textDocument": map[string]any{"uri": "file://" + file, "version": 2}, "contentChanges": []any{map[string]any{"text": text}}})
}

func at(file string, line, character int) map[string]any {
	return map[string]any{"textDocument": map[string]any{"uri": "file://" + file}, "position": map[string]any{"line": line, "character": character}}
}

func (c *editorClient) labels(file string, line, character int) string {
	c.t.Helper()
	var list struct{ Items []struct{ Label string } }
	if err := json.Unmarshal(c.ask("textDocument/completion", at(file, line, character)).Result, &list); err != nil {
		c.t.Fatal(err)
	}
	var names []string
	for _, it := range list.Items {
		names = append(names, it.Label)
	}
	return " " + strings.Join(names, " ") + " "
}

func (c *editorClient) hover(file string, line, character int) string {
	c.t.Helper()
	var h struct{ Contents struct{ Value string } }
	if err := json.Unmarshal(c.ask("textDocument/hover", at(file, line, character)).Result, &h); err != nil {
		c.t.Fatal(err)
	}
	return h.Contents.Value
}

// TestEditor is an editor's session: a file is opened with a fault, corrected without being saved, completed,
// explained, and closed.
func TestEditor(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write(".env", "TAG=1.27\n")
	write("base.yaml", "services:\n  base:\n    image: busybox\n    command: [sleep, infinity]\n")
	file := write("compose.yaml", "")
	override := write("compose.debug.yaml", "")

	c := startEditor(t, "DB_PASSWORD=hunter2")
	if m := c.ask("textDocument/hover", at(file, 0, 0)); m.Error == nil || m.Error.Code != -32002 {
		t.Errorf("before initialize: %+v", m)
	}
	stacktest.Wants(t, "initialize", string(c.ask("initialize", map[string]any{"capabilities": map[string]any{}}).Result), `"hoverProvider":true`, `"positionEncoding":"utf-16"`)
	c.tell("initialized", map[string]any{})

	// The columns count units of UTF-16: the letters before the key are two each.
	c.open(file, "services:\n  web:\n    imgae: nginx\n  \"\U0001F600\": {imag: x}\n")
	got := c.faults(file)
	stacktest.Wants(t, "faults", got, "2:4-9 1 unknown key", `did you mean "image"?`, "3:9-13 1 unknown key")

	text := `services:
  web:
    image: nginx:${TAG}
    environment:
      DB_PASSWORD: ${DB_PASSWORD}
    depends_on:
      - db
  db:
    extends: {file: base.yaml, service: base}
    re
`
	c.change(file, strings.Replace(text, "    re\n", "", 1))
	if got := c.faults(file); got != "" {
		t.Errorf("faults of a correct file: %s", got)
	}
	stacktest.Wants(t, "image", c.hover(file, 2, 6), "**image**", "`services.web.image` = `nginx:1.27`", "compose.yaml:3:12", "written `nginx:${TAG}`", "`TAG` = `1.27`, from .env:1")
	stacktest.Wants(t, "variable", c.hover(file, 2, 20), "`TAG` = `1.27`, from .env:1")
	secret := c.hover(file, 4, 8) + c.hover(file, 4, 25)
	stacktest.Wants(t, "secret", secret, "**environment**", "DB_PASSWORD", "(hidden)")
	if strings.Contains(secret, "hunter2") {
		t.Errorf("a hover shows a secret: %s", secret)
	}
	stacktest.Wants(t, "extends", c.hover(file, 7, 3), "`busybox`", "base.yaml:3:12", "through extends")

	c.change(file, text)
	stacktest.Wants(t, "faults while typing", c.faults(file), "9:4")
	stacktest.Wants(t, "keys", c.labels(file, 9, 6), " restart ", " read_only ")
	stacktest.Wants(t, "names", c.labels(file, 6, 8), " db ")
	stacktest.Wants(t, "variables", c.labels(file, 2, 19), " TAG ", " DB_PASSWORD ")

	// A file that overrides another is loaded over it: it needs no image.
	write("compose.yaml", strings.Replace(text, "    re\n", "", 1))
	c.tell("textDocument/didClose", map[string]any{"textDocument": map[string]any{"uri": "file://" + file}})
	if got := c.faults(file); got != "" {
		t.Errorf("faults of a closed file: %s", got)
	}
	c.open(override, "services:\n  web:\n    tty: true\n")
	if got := c.faults(override); got != "" {
		t.Errorf("faults of an override: %s", got)
	}
	c.change(override, "services:\n  web:\n    tty: maybe\n")
	stacktest.Wants(t, "override", c.faults(override), "2:9-14 1 wrong type")

	// A fault of another file is told in that file.
	c.change(override, "services:\n  web:\n    extends: {file: base.yaml, service: base}\n    tty: true\n")
	c.faults(override)
	write("base.yaml", "services: [\n")
	c.tell("textDocument/didSave", map[string]any{"textDocument": map[string]any{"uri": "file://" + override}})
	if got := c.faults(filepath.Join(dir, "base.yaml")); got == "" {
		t.Error("the fault of an extended file is not told")
	}

	if m := c.ask("workspace/symbol", map[string]any{}); m.Error == nil || m.Error.Code != -32601 {
		t.Errorf("a method that is not there: %+v", m)
	}
	c.ask("shutdown", nil)
	c.tell("exit", nil)
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("exit after shutdown: %v", err)
	}
}

// TestEditorLeaves: a client that says no shutdown, or speaks another protocol, is told by the exit status.
func TestEditorLeaves(t *testing.T) {
	for name, input := range map[string]string{
		"exit":      "Content-Length: 33\r\n\r\n{\"jsonrpc\":\"2.0\",\"method\":\"exit\"}",
		"nothing":   "",
		"no length": "GET / HTTP/1.0\r\n\r\n",
		"too long":  "Content-Length: 99999999999\r\n\r\n",
		"cut off":   "Content-Length: 100\r\n\r\n{}",
	} {
		c := startEditor(t)
		if _, err := io.WriteString(c.in, input); err != nil {
			t.Fatal(err)
		}
		c.in.Close()
		if err := c.cmd.Wait(); err == nil {
			t.Errorf("%s: status 0", name)
		}
	}
}
