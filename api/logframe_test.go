package api

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
)

func someLines() []ask.LogEntry {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	return []ask.LogEntry{
		{Container: "p-a-1", Service: "a", Replica: 1, Time: at, Stream: "stdout", Line: []byte("one")},
		{Container: "p-b-2", Service: "b", Replica: 2, Time: at.Add(1), Stream: "stderr", Line: []byte{}, Partial: true},
		{Container: "p-a-1", Service: "a", Replica: 1, Time: at.Add(-1e9), Stream: "stdout", Line: bytes.Repeat([]byte("x"), 300)},
		{Container: "p-b-2", Service: "b", Replica: 2, Stream: "stdout", Line: []byte("a sentence"), Notice: true},
		{Container: "p-a-1", Service: "a", Replica: 1, Time: at, Stream: "stdout", Line: []byte("\x00\xff\n")},
	}
}

func TestLogFramesAreWhatWasPut(t *testing.T) {
	var enc LogEncoder
	var dec LogDecoder
	var got []ask.LogEntry
	for range 3 { // sources are known from frame to frame
		var payload []byte
		for _, e := range someLines() {
			payload = enc.Append(payload, e)
		}
		if err := dec.Each(payload, func(e ask.LogEntry) error {
			e.Line = slices.Clone(e.Line)
			got = append(got, e)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if want := slices.Concat(someLines(), someLines(), someLines()); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func FuzzLogDecoder(f *testing.F) {
	var enc LogEncoder
	var whole []byte
	for _, e := range someLines() {
		whole = enc.Append(whole, e)
	}
	for n := range whole {
		f.Add(whole[:n])
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		size := 0
		if err := new(LogDecoder).Each(payload, func(e ask.LogEntry) error {
			size += len(e.Line)
			return nil
		}); err == nil && size > len(payload) {
			t.Errorf("%d bytes of lines in %d", size, len(payload))
		}
	})
}

func BenchmarkLogFrames(b *testing.B) {
	var enc LogEncoder
	var dec LogDecoder
	e := someLines()[0]
	e.Line = make([]byte, 100)
	b.SetBytes(100)
	var payload []byte
	n := 0
	for b.Loop() {
		if payload = enc.Append(payload, e); len(payload) > 64<<10 {
			if err := dec.Each(payload, func(ask.LogEntry) error { n++; return nil }); err != nil {
				b.Fatal(err)
			}
			payload = payload[:0]
		}
	}
}
