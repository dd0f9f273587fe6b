package message

// Solve is what a client asks a build for: moby.buildkit.v1.SolveRequest, and moby.buildkit.v1.frontend.SolveRequest, which has no Ref, Session nor Exporters.
type Solve struct {
	Ref           string // who asks for the build's Status, and for what its frontend does, names it by this
	Session       string
	Frontend      string            // "" = the client is the frontend, and says by Return what comes of it
	Attrs         map[string]string // of the frontend
	Inputs        map[string]Definition
	Definition    Definition
	Exporters     []Typed
	CacheExports  []Typed
	CacheImports  []Typed
	Entitlements  []string
	SourcePolicy  bool // there is one
	ProxyNetwork  bool
	Evaluate      bool
	AsksExporters bool // the session says what is made of the result
}

// Typed is something of a type, with its attributes: an exporter, a cache.
type Typed struct {
	Type  string
	Attrs map[string]string
}

func typed(b []byte) (t Typed, err error) {
	err = each(b, func(f field) error {
		switch f.Number {
		case 1:
			t.Type = f.string()
		case 2:
			return f.into(&t.Attrs)
		}
		return nil
	})
	return t, err
}

func (f field) typedInto(list *[]Typed) error {
	t, err := typed(f.bytes)
	*list = append(*list, t)
	return err
}

// ReadSolve reads that of Control.
func ReadSolve(b []byte) (*Solve, error) {
	s := &Solve{}
	var old Typed // ExporterDeprecated, which counts when there are no others
	err := each(b, func(f field) error {
		switch f.Number {
		case 1:
			s.Ref = f.string()
		case 2:
			return s.Definition.read(f.bytes)
		case 3:
			old.Type = f.string()
		case 4:
			return f.into(&old.Attrs)
		case 5:
			s.Session = f.string()
		case 6:
			s.Frontend = f.string()
		case 7:
			return f.into(&s.Attrs)
		case 8:
			return s.readCaches(f.bytes)
		case 9:
			s.Entitlements = append(s.Entitlements, f.string())
		case 10:
			return s.readInput(f.bytes)
		case 12:
			s.SourcePolicy = len(f.bytes) > 0
		case 13:
			return f.typedInto(&s.Exporters)
		case 14:
			s.AsksExporters = f.bool()
		case 17:
			s.ProxyNetwork = f.bool()
		}
		return nil
	})
	if len(s.Exporters) == 0 && old.Type != "" {
		s.Exporters = []Typed{old}
	}
	return s, err
}

func (s *Solve) readCaches(b []byte) error {
	return each(b, func(f field) error {
		switch f.Number {
		case 1: // ExportRefDeprecated
			s.CacheExports = append(s.CacheExports, Typed{"registry", map[string]string{"ref": f.string()}})
		case 2: // ImportRefsDeprecated
			s.CacheImports = append(s.CacheImports, Typed{"registry", map[string]string{"ref": f.string()}})
		case 4:
			return f.typedInto(&s.CacheExports)
		case 5:
			return f.typedInto(&s.CacheImports)
		}
		return nil
	})
}

func (s *Solve) readInput(b []byte) error {
	var name string
	var d Definition
	err := each(b, func(f field) error {
		switch f.Number {
		case 1:
			name = f.string()
		case 2:
			return d.read(f.bytes)
		}
		return nil
	})
	if s.Inputs == nil {
		s.Inputs = map[string]Definition{}
	}
	s.Inputs[name] = d
	return err
}

// SolveResponse is moby.buildkit.v1.SolveResponse: what the exporters tell.
func SolveResponse(exported map[string]string) []byte {
	var e encoder
	e.texts(1, exported)
	return e
}

// ReadRef reads a message that has but a ref, in field 1: StatusRequest, EvaluateRequest.
func ReadRef(b []byte) (ref string, err error) {
	err = each(b, func(f field) error {
		if f.Number == 1 {
			ref = f.string()
		}
		return nil
	})
	return ref, err
}

// Prune is moby.buildkit.v1.PruneRequest.
type Prune struct {
	Filters []string
	All     bool
	Bounds  bool // by age or size
}

// ReadPrune reads one.
func ReadPrune(b []byte) (p Prune, err error) {
	err = each(b, func(f field) error {
		switch f.Number {
		case 1:
			if len(f.bytes) > 0 {
				p.Filters = append(p.Filters, f.string())
			}
		case 2:
			p.All = f.bool()
		case 3, 4, 5, 6:
			p.Bounds = p.Bounds || f.n != 0
		}
		return nil
	})
	return p, err
}

// UsageRecord is moby.buildkit.v1.UsageRecord of something that was removed.
func UsageRecord(id string, bytes int64) []byte {
	var e encoder
	e.string(1, id)
	e.varint(4, uint64(bytes))
	e.string(10, "regular")
	return e
}

// Platform is pb.Platform.
type Platform struct{ Architecture, OS, Variant string }

// Workers is moby.buildkit.v1.ListWorkersResponse with one worker of that id.
func Workers(id, version string, labels map[string]string, platforms ...Platform) []byte {
	var w, e encoder
	w.string(1, id)
	w.texts(2, labels)
	for _, p := range platforms {
		var one encoder
		one.string(1, p.Architecture)
		one.string(2, p.OS)
		one.string(3, p.Variant)
		w.message(3, one)
	}
	w.message(5, versionOf(version))
	e.message(1, w)
	return e
}

// Info is moby.buildkit.v1.InfoResponse.
func Info(version string) []byte {
	var e encoder
	e.message(1, versionOf(version))
	return e
}

func versionOf(version string) []byte {
	var e encoder
	e.string(1, "github.com/stackrun/stack")
	e.string(2, version)
	return e
}

// Serving is grpc.health.v1.HealthCheckResponse of who serves.
var Serving = []byte{0x08, 0x01}
