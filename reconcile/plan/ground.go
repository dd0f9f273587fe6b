package plan

import "github.com/stackrun/stack/spec/diag"

// Ground makes again what containers of starts stand on and that is gone or damaged: networks and volumes of the project. It decides
// about no container. Precondition: want is what they were made of.
func Ground(want *Desired, have *Observed, starts Debts) (*Plan, diag.List) {
	opt := Options{Heal: true, NoDeps: true, Off: map[ID]bool{}}
	for id := range starts {
		s := want.Services[id.Name]
		if s == nil {
			continue // an orphan: nobody knows any more what its networks were like
		}
		for n := range max(s.Replicas, id.Replica) {
			opt.Off[Container(s.Name, n+1)] = true
		}
		opt.Services = append(opt.Services, s.Name)
	}
	return Build(want, have, opt)
}
