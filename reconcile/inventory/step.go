package inventory

import (
	"fmt"
	"strconv"
	"strings"
)

// StepOf says which step of which container's pre_start a container is for.
type StepOf struct {
	Of    string // of the container that is started after it
	Index int
}

func (s StepOf) String() string { return fmt.Sprintf("%s/%d", s.Of, s.Index) }

// readStepOf reads what StepOf.String writes; nil for anything else.
func readStepOf(text string) *StepOf {
	id, number, ok := strings.Cut(text, "/")
	index, err := strconv.Atoi(number)
	if !ok || err != nil {
		return nil
	}
	return &StepOf{Of: id, Index: index}
}

// StepName is the name of the container of a step.
func StepName(container string, index int) string {
	return fmt.Sprintf("%s-pre_start-%d", container, index)
}
