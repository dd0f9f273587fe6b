package wish

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/stackrun/stack/reconcile/plan"
)

// Owed are the containers that were stopped, or are about to be, to be started again. Some may have been started since, which nobody has to write down: ask
// plan.Debts. Read only.
func (r *Record) Owed() plan.Debts { return r.owed }

// Owe records that containers are stopped to be started again. It is from before the first stop on.
func (r *Record) Owe(debts plan.Debts) { maps.Copy(r.owed, debts) }

// Settle records that containers are owed nothing.
func (r *Record) Settle(ids ...plan.ID) {
	for _, id := range ids {
		delete(r.owed, id)
	}
}

// Renew makes what container id was promised against the run that began at seen one against the run that began at started: its policy has begun that since, and
// it is stopped only now.
func (r *Record) Renew(id plan.ID, seen, started time.Time) {
	if debt, owed := r.owed[id]; owed && debt.Run.Equal(seen) {
		r.owed[id] = plan.Debt{Run: started}
	}
	if r.Pass == nil {
		return
	}
	if debt, promised := r.Pass.Starts[id]; promised && debt.Run.Equal(seen) {
		r.promise(id, plan.Debt{Run: started})
	}
}

// promise changes what the command under way, of which there is one, has promised container id.
func (r *Record) promise(id plan.ID, debt plan.Debt) {
	pass := *r.Pass // it is shared
	pass.Starts = plan.Debts{}
	maps.Copy(pass.Starts, r.Pass.Starts)
	pass.Starts[id] = debt
	r.Pass = &pass
}

// Latest is debts with what the record says of the same containers by now, see Renew.
func (r *Record) Latest(debts plan.Debts) plan.Debts {
	latest := maps.Clone(debts)
	for id := range debts {
		if debt, owed := r.owed[id]; owed {
			latest[id] = debt
		}
	}
	return latest
}

// writeDebts are debts as the record has them: the names, which is all that old programs know, and of those of which it is known, the runs.
func writeDebts(debts plan.Debts) (list []string, runs map[string]time.Time) {
	list = names(debts)
	for id, debt := range debts {
		if debt.Unknown {
			continue
		}
		if runs == nil {
			runs = map[string]time.Time{}
		}
		runs[nameOf(id)] = debt.Run
	}
	return list, runs
}

// killed are the runs of debts' containers that users have killed, as the record has them.
func killed(debts plan.Debts) map[string]time.Time {
	runs := map[string]time.Time{}
	for id, debt := range debts {
		if !debt.Killed.IsZero() {
			runs[nameOf(id)] = debt.Killed
		}
	}
	return runs
}

// readDebts reads what writeDebts wrote.
func readDebts(list []string, runs map[string]time.Time) (plan.Debts, error) {
	debts := plan.Debts{}
	for _, text := range list {
		id, err := parseID(text)
		if err != nil {
			return nil, err
		}
		run, known := runs[text]
		debts[id] = plan.Debt{Run: run, Unknown: !known}
	}
	return debts, nil
}

// nameOf is a container in a record: service/number.
func nameOf(id plan.ID) string { return id.Name + "/" + strconv.Itoa(id.Replica) }

func parseID(text string) (plan.ID, error) {
	service, number, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(number)
	if err != nil {
		return plan.ID{}, fmt.Errorf("%q is not a container", text)
	}
	return plan.Container(service, n), nil
}
