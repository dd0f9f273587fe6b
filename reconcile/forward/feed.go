package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
)

// Waits of a feed.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second
	firstLook  = 10 * time.Millisecond // whether what was sent has arrived
	lastLook   = time.Second
	quiet      = 10 * time.Second // without a refused datagram
	patience   = 30 * time.Second // with a receiver that takes nothing of what was sent
)

// feed sends the log of one container. It has one goroutine, run; what is below mu others ask for.
type feed struct {
	of *Forwarder
	c  *inventory.Container

	cursor *cursor
	sender Sender // nil = not connected
	flight flight
	done   func() bool // takes the close of sender off the context
	tried  int         // failures in a row
	fault  time.Time   // when the last one was

	cancel context.CancelFunc
	over   chan struct{} // closed when run has returned
	kick   chan struct{} // of capacity 1: there is reason to try now

	mu      sync.Mutex
	ended   chan struct{} // closed when the run that is followed has ended
	first   chan struct{} // closed when it was tried to connect
	failure chan struct{} // closed at the next failure
	problem string        // why nothing is sent; "" = nothing is wrong, as far as is known
}

// run sends until all that an ended run has written has arrived, or ctx ends.
func (f *feed) run(ctx context.Context) {
	defer close(f.over)
	defer f.cursor.close()
	defer f.hangUp()
	for {
		ended := f.current()
		err := guard(func() error { return f.pass(ctx, ended) })
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			if f.of.leave(f, ended) {
				return
			}
			continue
		}
		f.hangUp()
		f.failed(err)
		retry := time.NewTimer(min(firstRetry<<min(f.tried-1, 16), lastRetry))
		select {
		case <-ctx.Done():
		case <-retry.C:
		case <-f.kick:
		}
		retry.Stop()
	}
}

// current is closed when the run that goes on now has ended.
func (f *feed) current() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

var errHungUp = errors.New("the receiver has hung up")

// pass sends what is behind the cursor, until ended is closed and all of it has arrived. An error is of the receiver, or of the log; what comes then begins at the cursor.
func (f *feed) pass(ctx context.Context, ended <-chan struct{}) error {
	if f.sender == nil {
		select {
		case <-ended:
			if f.cursor.atEnd(f.c.Config.Log.Path) {
				return nil // nobody need be there
			}
		default:
		}
		if err := f.connect(ctx); err != nil {
			return err
		}
	}
	r := read(ctx, f.c.Config.Log.Path, f.cursor.at, ended, f.missed)
	defer r.close()
	f.flight = flight{}
	batches, wait := r.batches, firstLook
	var look <-chan time.Time
	for {
		var gone <-chan struct{}
		if f.sender != nil {
			gone = f.sender.Gone()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b, more := <-batches:
			if !more {
				if err := <-r.result; err != nil || look == nil {
					return err
				}
				batches = nil
				continue
			}
			if f.sender == nil {
				if err := f.connect(ctx); err != nil {
					return err
				}
			}
			if err := f.send(b); err != nil {
				return err
			}
			if f.flight.landed() {
				look = nil
			} else if look == nil {
				wait = firstLook
				look = time.After(wait)
			}
		case <-look:
			if err := f.settle(); err != nil {
				return err
			}
			if look = nil; !f.flight.landed() {
				wait = min(2*wait, lastLook)
				look = time.After(wait)
			} else if batches == nil {
				return nil
			}
		case <-gone:
			f.hangUp()
			if look != nil {
				return errHungUp
			}
		}
	}
}

// connect opens the way to the receiver.
func (f *feed) connect(ctx context.Context) error {
	s, err := f.of.open(ctx, f.c)
	if err != nil {
		return fmt.Errorf("cannot reach it: %w", err)
	}
	f.sender = s
	f.done = context.AfterFunc(ctx, func() { s.Close() }) // a Send may wait
	if !s.Datagrams() && f.cursor.atEnd(f.c.Config.Log.Path) {
		f.arrived() // it is there, and has everything
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tryDone()
	return nil
}

// tryDone says that it was tried to connect. Precondition: mu is held.
func (f *feed) tryDone() {
	select {
	case <-f.first:
	default:
		close(f.first)
	}
}

func (f *feed) hangUp() {
	if f.sender == nil {
		return
	}
	f.done()
	f.sender.Close()
	f.sender = nil
}

// send hands b over, and notes what has arrived.
func (f *feed) send(b *batch) error {
	if !f.flight.landed() {
		if err := f.settle(); err != nil { // before more waits: what has become less is taken
			return err
		}
	}
	if err := f.sender.Send(b.all); err != nil {
		return err
	}
	written, _, err := f.sender.Flow()
	if err != nil {
		return err
	}
	f.flight.departed(written, b.end, time.Now())
	return f.settle()
}

// settle moves the cursor behind what has arrived. An error says that the receiver is away.
func (f *feed) settle() error {
	written, waiting, err := f.sender.Flow()
	if err != nil {
		return err
	}
	now := time.Now()
	at, moved := f.flight.progress(written, waiting, now)
	if moved {
		if err := f.cursor.put(at); err != nil {
			f.of.o.Log.Warn("cannot note how far a log was sent; a daemon that takes this one's place sends some of it again", "container", f.c.Name, "error", err)
		}
		f.arrived()
	}
	if f.flight.stalled(now) >= f.of.patience {
		return fmt.Errorf("it has taken nothing of what was sent for %v", f.of.patience)
	}
	return nil
}

// failed notes that nothing can be sent, and tells it. A connection that breaks is no news if the next attempt mends it.
func (f *feed) failed(err error) {
	f.tried++
	f.fault = time.Now()
	broken := errors.Is(err, errHungUp) || errors.Is(err, io.EOF) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET)
	f.mu.Lock()
	f.tryDone()
	close(f.failure)
	f.failure = make(chan struct{})
	var own *fault
	if errors.As(err, &own) && f.problem != err.Error() { // of one that comes again nothing is new
		f.of.o.Log.Error("panic while a log is sent", "container", f.c.Name, "panic", own.what, "stack", string(own.stack))
	}
	news := f.problem == "" && (f.tried > 1 || !broken)
	if news || f.problem != "" {
		f.problem = err.Error()
	}
	f.mu.Unlock()
	if news {
		f.of.o.Hub.Say(nil, f.trouble(err.Error()))
	}
}

// trouble is the event that says that a log is not sent.
func (f *feed) trouble(why string) event.Event {
	return f.c.Event(event.Warning, NotSent, fmt.Sprintf("%s: %s; the log is kept on this host, as far as its limit goes, and sent when that is over", f.of.receiver(f.c), why))
}

// arrived notes that what was sent has arrived. Datagrams that are refused now and then only count after a while without that.
func (f *feed) arrived() {
	f.tried = 0
	if f.sender.Datagrams() && time.Since(f.fault) < quiet {
		return
	}
	f.mu.Lock()
	news := f.problem != ""
	f.problem = ""
	f.mu.Unlock()
	if news {
		f.of.o.Hub.Say(nil, f.c.Event(event.Done, SentAgain, f.of.receiver(f.c)))
	}
}

// missed tells that rotation has dropped lines that were to be sent.
func (f *feed) missed(text string) {
	f.of.o.Hub.Say(nil, f.c.Event(event.Warning, NotSent, fmt.Sprintf("%s: %s (logging options cache-max-size and cache-max-file)", f.of.receiver(f.c), text)))
}

// trouble of c at present; "" = none is known.
func (f *feed) state() (problem string, failure <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.problem, f.failure
}

// begin follows a new run. Precondition: of.mu is held.
func (f *feed) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.ended:
		f.ended = make(chan struct{})
	default:
	}
}

// end says that the run has ended.
func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.ended:
	default:
		close(f.ended)
	}
}

// hasEnded says whether nothing is written any more.
func (f *feed) hasEnded() bool {
	select {
	case <-f.current():
		return true
	default:
		return false
	}
}

// retry has f try now.
func (f *feed) retry() {
	select {
	case f.kick <- struct{}{}:
	default:
	}
}
