package reconcile

import (
	"strings"

	"github.com/stackrun/stack/reconcile/wording"
)

// named puts the names of containers that are supervised in the place of their ids.
func (e *Engine) named(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	e.mu.Lock()
	for id, n := range e.names {
		text = strings.ReplaceAll(text, wording.ShortID(id), n.name)
	}
	e.mu.Unlock()
	if text == err.Error() {
		return err
	}
	return &wording.Reworded{Text: text, Err: err}
}
