package spec

// keyedList is a list whose elements have keys: a later one takes the place of an earlier one of the same key, as docker compose
// does with what may be there once. The zero keyedList is empty.
type keyedList[T any] struct {
	all []T
	at  map[string]int
}

// put returns where v is.
func (l *keyedList[T]) put(key string, v T) int {
	if l.at == nil {
		l.at = map[string]int{}
	}
	i, again := l.at[key]
	if !again {
		i = len(l.all)
		l.at[key] = i
		l.all = append(l.all, v)
	}
	l.all[i] = v
	return i
}

func (l *keyedList[T]) has(key string) bool {
	_, is := l.at[key]
	return is
}
