package dns

// View is what one container sees. It must not be changed once a Server has it.
type View struct {
	// Zones are asked in order; the first that has the name answers.
	Zones []*Zone
	// Links are further names, in lower case, of what is in Zones; nobody but this container has them.
	Links map[string]string
	// Out answers what is not ours; nil for a container that has no way out, which gets NXDOMAIN: in its world
	// there is no such name, and a query that leaves would be a way out (CVE-2024-29018).
	Out *Forwarder
}

// outcome of answer.
type outcome int

const (
	answered outcome = iota
	ignored          // not even a query
	elsewhere
)

// answer answers msg from the zones, in out. limit is the largest answer in bytes; 0 = what the client says that it
// takes over UDP.
func (v *View) answer(msg, out []byte, limit int) ([]byte, outcome) {
	var scratch [256]byte
	q, code, ok := parse(msg, scratch[:])
	if !ok {
		if code == 0 {
			return nil, ignored
		}
		return reply(out, msg, nil, code), answered
	}
	if limit == 0 {
		limit = q.udp
	}
	if q.class == classIN {
		if q.typ == typePTR {
			if out, ok := v.pointers(msg, out, &q); ok {
				return out, answered
			}
		}
		name := q.name
		if to, ok := v.Links[string(name)]; ok {
			name = []byte(to)
		}
		for _, z := range v.Zones {
			if r := z.find(name); r != nil {
				return r.write(reply(out, msg, &q, 0), &q, limit), answered
			}
		}
	}
	if v.Out != nil {
		return nil, elsewhere
	}
	return finish(reply(out, msg, &q, rcodeNXDomain), &q, 0), answered
}

// write appends the addresses of the type asked for; none, for a name that exists, is NODATA and not NXDOMAIN, which
// would make resolvers give up on the other family too (RFC 2308 section 2.2). The order moves on by one with each
// query, for clients that take the first.
func (r *records) write(out []byte, q *question, limit int) []byte {
	var addrs [][]byte
	switch q.typ {
	case typeA, typeANY:
		addrs = r.v4
	case typeAAAA:
		addrs = r.v6
	}
	if q.edns {
		limit -= optLen
	}
	n := 0
	if len(addrs) > 0 {
		typ := uint16(typeA)
		if len(addrs[0]) == 16 {
			typ = typeAAAA
		}
		first := 0
		if len(addrs) > 1 {
			first = int(r.turn.Add(1) % uint32(len(addrs)))
		}
		for i := range addrs {
			a := addrs[(first+i)%len(addrs)]
			if len(out)+12+len(a) > limit {
				out[2] |= flagTC
				break
			}
			out = address(out, typ, a)
			n++
		}
	}
	return finish(out, q, n)
}

// pointers answers for addresses in the subnets of the view's networks, those without a container included: nobody
// else knows them.
func (v *View) pointers(msg, out []byte, q *question) ([]byte, bool) {
	a, ok := reverse(string(q.name))
	if !ok {
		return nil, false
	}
	for _, z := range v.Zones {
		if name, ok := z.load().addrs[a]; ok {
			return finish(pointer(reply(out, msg, q, 0), name), q, 1), true
		}
	}
	for _, z := range v.Zones {
		if z.owns(a) {
			return finish(reply(out, msg, q, rcodeNXDomain), q, 0), true
		}
	}
	return nil, false
}
