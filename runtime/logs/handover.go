package logs

import (
	"os"
	"time"
)

// Handover is what a Writer has that another program of the same process needs to go on where it stopped.
type Handover struct {
	Dir, File int // descriptors
	Size      int64
	Dropped   int64
	Latest    time.Time
}

// Handover is w's, whose descriptors stay w's. ok is false where there is more to tell: a line has begun, or output was lost and the log does not say so yet.
func (w *Writer) Handover() (h Handover, ok bool) {
	for _, p := range w.pending {
		if len(p.text) > 0 {
			return h, false
		}
	}
	conn, err := w.f.SyscallConn()
	if err != nil || w.lost > 0 || len(w.out) > 0 {
		return h, false
	}
	h = Handover{Dir: w.dir.fd, Size: w.size, Dropped: w.dropped, Latest: w.latest}
	err = conn.Control(func(fd uintptr) { h.File = int(fd) })
	return h, err == nil
}

// Resume is the Writer whose Handover h was, of the log path with limits as OpenWriter has them. It has the descriptors from then on.
func Resume(path string, maxSize int64, maxFiles int, h Handover) *Writer {
	w := newWriter(beneath(h.Dir, path), maxSize, maxFiles)
	w.f, w.size, w.dropped, w.latest = os.NewFile(uintptr(h.File), path), h.Size, h.Dropped, h.Latest
	return w
}
