package forward

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stackrun/stack/runtime/logs"
)

// A cursor is in a directory of its own below the container's: who looks there for what other hands change would be woken by each move.
const (
	cursorDir  = "forward"
	cursorName = "cursor"
)

// cursor is how far a log has been received, on disk. It goes with the container's directory.
type cursor struct {
	dir string // its own
	at  logs.Place
	f   *os.File
}

// load reads the cursor of the container whose directory dir is. found is false when there is none yet; one that cannot be read is none.
func load(dir string) (c *cursor, found bool) {
	c = &cursor{dir: filepath.Join(dir, cursorDir)}
	b, err := os.ReadFile(c.path())
	if err != nil {
		return c, false
	}
	var offset, nanos int64
	if n, err := fmt.Sscanf(strings.TrimSpace(string(b)), "%d %d", &offset, &nanos); n != 2 || err != nil || offset < 0 {
		return c, false
	}
	c.at = logs.Place{Offset: offset}
	if nanos != 0 {
		c.at.Time = time.Unix(0, nanos)
	}
	return c, true
}

func (c *cursor) path() string { return filepath.Join(c.dir, cursorName) }

// since makes c one whose place is lost: what was logged from t on comes, rather twice than not at all.
func (c *cursor) since(t time.Time) { c.at = logs.Place{Offset: math.MaxInt64, Time: t} }

// put moves c. It is one write of always the same length over the last one: a daemon that is killed leaves the old place or the new. A power cut may leave an older one.
func (c *cursor) put(p logs.Place) error {
	c.at = p
	if c.f == nil {
		if err := os.Mkdir(c.dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		f, err := os.OpenFile(c.path(), os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		c.f = f
	}
	var nanos int64
	if !p.Time.IsZero() {
		nanos = p.Time.UnixNano()
	}
	_, err := c.f.WriteAt(fmt.Appendf(nil, "%019d %020d\n", p.Offset, nanos), 0)
	return err
}

func (c *cursor) close() {
	if c.f != nil {
		c.f.Close()
		c.f = nil
	}
}

// behind is how many bytes of the log at path the receiver has not; 0 where that is not known.
func (c *cursor) behind(path string) int64 {
	end, err := logs.End(path)
	if err != nil || c.at.Offset == math.MaxInt64 {
		return 0
	}
	return max(end.Offset-c.at.Offset, 0)
}

// atEnd says whether the receiver has all of the log at path; false where that is not known.
func (c *cursor) atEnd(path string) bool {
	end, err := logs.End(path)
	return err == nil && c.at.Offset != math.MaxInt64 && c.at.Offset >= end.Offset
}

// begin makes the first cursor of a container: behind what its log has before it starts.
func (c *cursor) begin(log string) error {
	end, err := logs.End(log)
	if err == nil {
		err = c.put(end)
	}
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no %s", filepath.Dir(c.dir))
	}
	return err
}
