package proto

import "time"

// Rest is what a monitor that goes to rest tells the one that it will be when it is woken: the same process and the same build. Its numbers of files
// are descriptors that stay open meanwhile; -1 = there is none.
type Rest struct {
	Work   int
	B      *Bootstrap // of it what a running monitor needs
	Status Status     // as it is on record
	Init   int        // pidfd of the container's init

	Listener int
	Input    int    // write end of stdin
	Master   int    // of the terminal
	Output   [2]int // read ends of stdout and stderr
	Log      RestLog

	Begun time.Time
	Quiet time.Duration // how long it had been quiet before
}

// RestLog is the log of a monitor that rests, see logs.Handover. Without a log File is -1.
type RestLog struct {
	Dir, File     int
	Size, Dropped int64
	Latest        time.Time
}

// Encode is r for DecodeRest.
func (r *Rest) Encode() []byte {
	w := &wire{b: make([]byte, 0, 2<<10)}
	w.rest(r)
	return w.b
}

// DecodeRest reads a Rest.
func DecodeRest(data []byte) (*Rest, error) {
	w := &wire{b: data, reading: true}
	r := &Rest{B: empty()}
	w.rest(r)
	return r, w.err
}

func (w *wire) rest(r *Rest) {
	number(w, &r.Work)
	w.monitorPart(r.B)
	w.status(&r.Status)
	for _, file := range []*int{&r.Init, &r.Listener, &r.Input, &r.Master, &r.Output[0], &r.Output[1], &r.Log.Dir, &r.Log.File} {
		number(w, file)
	}
	number(w, &r.Log.Size)
	number(w, &r.Log.Dropped)
	w.time(&r.Log.Latest)
	w.time(&r.Begun)
	number(w, &r.Quiet)
}
