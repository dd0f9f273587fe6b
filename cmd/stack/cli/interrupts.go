package cli

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Interrupts hands SIGINT and SIGTERM to whoever handles them now. At first that is: cancel the command; a second
// one ends it at once, for when the daemon does not answer.
type Interrupts struct {
	once sync.Once
	ch   chan os.Signal

	mu      sync.Mutex
	handler func(os.Signal)
}

// Listen takes the signals, from the first call on. Until then they end the command as they end any: it has asked for nothing yet and has nothing to
// undo. Whoever begins something that has to be ended in order calls this first. Not at the start of each command: it takes Go two threads, and
// as long as all that a small command does.
func (i *Interrupts) Listen() {
	i.once.Do(func() {
		i.ch = make(chan os.Signal, 8)
		signal.Notify(i.ch, syscall.SIGINT, syscall.SIGTERM)
		go func() {
			for s := range i.ch {
				i.mu.Lock()
				h := i.handler
				i.mu.Unlock()
				if h != nil { // nil while one is exchanged for another
					h(s)
				}
			}
		}()
	})
}

// Handle makes h the handler and returns the one before.
func (i *Interrupts) Handle(h func(os.Signal)) (before func(os.Signal)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	before, i.handler = i.handler, h
	return before
}

// Stop ends what Listen has begun, and what is begun later is nothing: for who runs several commands in one process.
func (i *Interrupts) Stop() {
	i.once.Do(func() {})
	if i.ch != nil {
		signal.Stop(i.ch)
		close(i.ch)
	}
}
