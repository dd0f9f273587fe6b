package progress

import (
	"sync"
	"time"
)

// reportEvery is the least time between two reports of one layer in one phase: a terminal shows no more.
const reportEvery = 100 * time.Millisecond

// Limit leaves out reports that come too fast. A new phase, an end and a note always pass.
func Limit(report func(Report)) func(Report) {
	type last struct {
		at    time.Time
		phase Phase
	}
	var mu sync.Mutex
	seen := make(map[string]last)
	return func(p Report) {
		now := time.Now()
		mu.Lock()
		l, ok := seen[p.Layer]
		if ok && l.phase == p.Phase && p.Note == "" && now.Sub(l.at) < reportEvery {
			mu.Unlock()
			return
		}
		seen[p.Layer] = last{now, p.Phase}
		mu.Unlock()
		report(p)
	}
}

// Serial lets reports pass one after the other, whoever makes them. nil = nobody listens.
func Serial(report func(Report)) func(Report) {
	if report == nil {
		return func(Report) {}
	}
	var mu sync.Mutex
	return func(p Report) {
		mu.Lock()
		defer mu.Unlock()
		report(p)
	}
}

// Report of a pull, a load or a push. Total 0 = not known yet.
type Report struct {
	Ref     string
	Layer   string // short digest; "" = the whole image
	Phase   Phase
	Current int64
	Total   int64

	// Note is something that the user should know of: the mirror that was used or left out, credentials
	// that could not be had. "" = nothing.
	Note string

	From string // where Mounted is from: another repository of the registry
}

// Phase is what is being done, in users' words.
type Phase string

const (
	Resolving   Phase = "Resolving"
	Downloading Phase = "Downloading"
	Loading     Phase = "Loading" // reading an archive
	Extracting  Phase = "Extracting"
	Done        Phase = "Done"

	// Of a push.
	Preparing Phase = "Preparing" // finding out whether the registry has the layer
	Sending   Phase = "Pushing"
	Sent      Phase = "Pushed"
	Exists    Phase = "Layer already exists"
	Mounted   Phase = "Mounted"
)
