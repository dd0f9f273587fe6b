package reconcile

import (
	"reflect"
	"testing"

	"github.com/stackrun/stack/reconcile/plan"
)

// TestASavedStepIsAWholeStep: what a step gets later is compared, too.
func TestASavedStepIsAWholeStep(t *testing.T) {
	step, saved := reflect.TypeFor[plan.Step](), reflect.TypeFor[savedStep]()
	for i := range step.NumField() {
		name := step.Field(i).Name
		if name == "Op" {
			name = "Operation"
		}
		if _, ok := saved.FieldByName(name); !ok {
			t.Errorf("plan.Step has %s and savedStep has not", name)
		}
	}
}
