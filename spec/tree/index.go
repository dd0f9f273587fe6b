package tree

// scan is the number of keys up to which looking at each is faster than a map.
const scan = 16

// index finds keys in a mapping that has many: files of tens of thousands of keys would take minutes otherwise. Pairs are
// appended by whoever holds the node; an index follows, and is made anew when there are fewer than before.
type index struct {
	at   map[string]int
	seen int // pairs that at has
}

func (x *index) pair(pairs []Pair, key string) *Pair {
	if x.at == nil || len(pairs) < x.seen {
		x.at, x.seen = make(map[string]int, len(pairs)), 0
	}
	for ; x.seen < len(pairs); x.seen++ {
		if k := pairs[x.seen].Key.Value; x.at[k] == 0 {
			x.at[k] = x.seen + 1
		}
	}
	i := x.at[key]
	if i == 0 {
		return nil
	}
	return &pairs[i-1]
}
