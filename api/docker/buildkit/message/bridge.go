package message

// ReadFrontendSolve reads moby.buildkit.v1.frontend.SolveRequest.
func ReadFrontendSolve(b []byte) (*Solve, error) {
	s := &Solve{}
	return s, each(b, func(f field) error {
		switch f.Number {
		case 1:
			return s.Definition.read(f.bytes)
		case 2:
			s.Frontend = f.string()
		case 3:
			return f.into(&s.Attrs)
		case 12:
			return f.typedInto(&s.CacheImports)
		case 13:
			return s.readInput(f.bytes)
		case 14:
			s.Evaluate = f.bool()
		case 15:
			s.SourcePolicy = s.SourcePolicy || len(f.bytes) > 0
		}
		return nil
	})
}

// FrontendSolved is moby.buildkit.v1.frontend.SolveResponse: the result goes by the name ref, and in definitions by source.
func FrontendSolved(ref, source string) []byte {
	var r, result, e encoder
	r.string(1, ref)
	r.message(2, definitionOf(source))
	result.message(3, r)
	e.message(3, result)
	return e
}

// Pong is moby.buildkit.v1.frontend.PongResponse: what the frontends may ask for, and what a definition may consist of.
func Pong(frontend, definition []string) []byte {
	var e encoder
	for _, id := range frontend {
		e.message(1, capability(id))
	}
	for _, id := range definition {
		e.message(2, capability(id))
	}
	return e
}

func capability(id string) []byte {
	var e encoder
	e.string(1, id)
	e.bool(2, true)
	return e
}

// Return is moby.buildkit.v1.frontend.ReturnRequest: what the client, as a frontend, has made.
type Return struct {
	Ref          string // "" = nothing
	Several      bool   // there are several results, by platform
	Attestations bool
	Failed       bool
	Code         int // with Failed
	Message      string
	Details      []byte // google.rpc.Status, as it came
}

// ReadReturn reads one.
func ReadReturn(b []byte) (r Return, err error) {
	err = each(b, func(f field) error {
		switch f.Number {
		case 1:
			return r.readResult(f.bytes)
		case 2:
			r.Failed, r.Details = true, f.bytes
			return each(f.bytes, func(f field) error { // google.rpc.Status
				switch f.Number {
				case 1:
					r.Code = int(f.n)
				case 2:
					r.Message = f.string()
				}
				return nil
			})
		}
		return nil
	})
	return r, err
}

func (r *Return) readResult(b []byte) error {
	return each(b, func(f field) error {
		switch f.Number {
		case 1: // refDeprecated
			r.Ref = f.string()
		case 2, 4: // refsDeprecated, refs
			r.Several = true
		case 3:
			ref, err := ReadRef(f.bytes)
			r.Ref = ref
			return err
		case 12:
			r.Attestations = true
		}
		return nil
	})
}

// ReadWarning reads the short text of a moby.buildkit.v1.frontend.WarnRequest.
func ReadWarning(b []byte) (text string, err error) {
	err = each(b, func(f field) error {
		if f.Number == 3 {
			text = f.string()
		}
		return nil
	})
	return text, err
}
