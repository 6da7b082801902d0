package flatjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"usher/messenger/flatjson"
	"usher/messenger/flatjson/flatjsontest"
)

// all has a member of each kind that a Writer writes.
type all struct {
	String    string    `json:"string"`
	OptString string    `json:"opt_string,omitempty"`
	Strings   []string  `json:"strings,omitempty"`
	Int       int64     `json:"int"`
	OptInt    int64     `json:"opt_int,omitempty"`
	OptUint   uint64    `json:"opt_uint,omitempty"`
	OptTrue   bool      `json:"opt_true,omitempty"`
	Time      time.Time `json:"time"`
	OptTime   time.Time `json:"opt_time,omitzero"`
	Inner     inner     `json:"inner"`
	Any       any       `json:"any"`
}

type inner struct {
	Opt string `json:"opt,omitempty"`
}

func marshalAll(a all) ([]byte, error) {
	w := flatjson.NewWriter()
	w.Begin("", '{')
	w.String("string", a.String)
	w.OptString("opt_string", a.OptString)
	w.OptStrings("strings", a.Strings)
	w.Int("int", a.Int)
	w.OptInt("opt_int", a.OptInt)
	w.OptUint("opt_uint", a.OptUint)
	w.OptTrue("opt_true", a.OptTrue)
	w.Time("time", a.Time)
	w.OptTime("opt_time", a.OptTime)
	w.Begin("inner", '{')
	w.OptString("opt", a.Inner.Opt)
	w.End('}')
	w.Any("any", a.Any)
	w.End('}')
	return w.Bytes()
}

// drawn are the values of all that can be drawn: any cannot.
type drawn struct {
	All  inner
	Of   string
	List []string
	N, M int64
	U    uint64
	B    bool
	T, S time.Time
	Any  map[string]string
}

func (d drawn) all() all {
	return all{d.Of, d.All.Opt, d.List, d.N, d.M, d.U, d.B, d.T, d.S, d.All, d.Any}
}

// MarshalJSON is what encoding/json writes.
func (d drawn) MarshalJSON() ([]byte, error) { return json.Marshal(d.all()) }

func TestWriter(t *testing.T) {
	t.Parallel()
	flatjsontest.Check(t, func(d drawn) ([]byte, error) { return marshalAll(d.all()) })
}

// A string that holds every byte and every pair of them that matters.
func TestWriterEveryByte(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for _, s := range []string{string([]byte{byte(c)}), string([]byte{'a', byte(c), byte(c), 'z'}), string(rune(c)), string(rune(0x2000 + c)), string(rune(0xff00 + c))} {
			want, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			w := flatjson.NewWriter()
			w.String("", s)
			if got, err := w.Bytes(); err != nil || !bytes.Equal(got, want) {
				t.Errorf("String(%q) = %s, %v, want %s", s, got, err, want)
			}
		}
	}
}

// After an error nothing is returned but the first of them, and the next to use the Writer knows nothing
// of it.
func TestWriterForgetsErrors(t *testing.T) {
	t.Parallel()
	for range 100 {
		w := flatjson.NewWriter()
		w.Begin("", '[')
		w.Time("", time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC))
		w.Any("", func() {})
		w.End(']')
		got, err := w.Bytes()
		if _, later := errors.AsType[*json.UnsupportedTypeError](err); err == nil || later || got != nil {
			t.Fatalf("Bytes = %s, %v, want the error of the time alone", got, err)
		}
		w = flatjson.NewWriter()
		w.Int("", 1)
		if got, err := w.Bytes(); err != nil || string(got) != "1" {
			t.Fatalf("Bytes = %s, %v, want 1", got, err)
		}
	}
}

// What was returned stays as it was while others write.
func TestWriterReturnsCopies(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for n := range int64(8) {
		all.Go(func() {
			var kept [][]byte
			for i := range int64(100) {
				w := flatjson.NewWriter()
				w.Int("", n*1000+i)
				text, err := w.Bytes()
				if err != nil {
					t.Error(err)
				}
				kept = append(kept, text)
			}
			for i, text := range kept {
				if want, _ := json.Marshal(n*1000 + int64(i)); !bytes.Equal(text, want) {
					t.Errorf("written = %s, want %s", text, want)
				}
			}
		})
	}
	all.Wait()
}

// A Reader says whether it has understood all of a text.
func TestReader(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want bool
	}{
		"all":                 {`{"o":{"in":"d"},"s":"a","l":["b","c"],"t":true,"at":"2026-11-21T12:00:00Z"}`, true},
		"least":               {`{"o":{"in":"d"}}`, true},
		"some":                {`{"o":{"in":"d"},"l":["b"],"at":"0001-01-01T00:00:00.5+05:30"}`, true},
		"escapes":             {`{"o":{"in":"d"},"s":"\u003c\n\"\\\u2028\u00Ab"}`, true},
		"unicode":             {"{\"o\":{\"in\":\"\x7fé\u2028\"}}", true},
		"nothing":             {``, false},
		"another_value":       {`"o"`, false},
		"object_missing":      {`{"s":"a"}`, false},
		"object_empty":        {`{"o":{}}`, false},
		"object_gone":         {`{"o":}}`, false},
		"name_cut":            {`{"o"`, false},
		"name_and_no_colon":   {`{"o##{"in":"d"}}`, false},
		"object_open":         {`{"o":{"in":"d"`, false},
		"object_closed_wrong": {`{"o":{"in":"d"]}`, false},
		"all_open":            {`{"o":{"in":"d"}`, false},
		"bracket_wrong":       {`["o":{"in":"d"}}`, false},
		"separator_wrong":     {`{"o":{"in":"d"};"s":"a"}`, false},
		"quote_wrong":         {`{"o":{"in":"d"},'s":"a"}`, false},
		"quote_missing":       {`{"o":{"in":"d"},"s:"a"}`, false},
		"comma_missing":       {`{"o":{"in":"d"}"s":"a"}`, false},
		"comma_first":         {`{,"o":{"in":"d"}}`, false},
		"comma_last":          {`{"o":{"in":"d"},}`, false},
		"string_missing":      {`{"o":{"in":"d"},"s":}`, false},
		"string_open":         {`{"o":{"in":"d"},"s":"a`, false},
		"string_ends_escaped": {`{"o":{"in":"d"},"s":"a\`, false},
		"null_for_string":     {`{"o":{"in":"d"},"s":null}`, false},
		"array_missing":       {`{"o":{"in":"d"},"l":}`, false},
		"array_empty":         {`{"o":{"in":"d"},"l":[]}`, false},
		"array_open":          {`{"o":{"in":"d"},"l":["b"}`, false},
		"array_of_commas":     {`{"o":{"in":"d"},"l":[,,,]}`, false},
		"array_comma_last":    {`{"o":{"in":"d"},"l":["b",]}`, false},
		"true_missing":        {`{"o":{"in":"d"},"t":}`, false},
		"true_and_more":       {`{"o":{"in":"d"},"t":truer}`, false},
		"false":               {`{"o":{"in":"d"},"t":false}`, false},
		"time_missing":        {`{"o":{"in":"d"},"at":}`, false},
		"time_impossible":     {`{"o":{"in":"d"},"at":"2026-11-31T12:00:00Z"}`, false},
		"time_escaped":        {`{"o":{"in":"d"},"at":"2026-11-21T12:00:00\u005a"}`, false},
		"time_quote_missing":  {`{"o":{"in":"d"},"at": 2026-11-21T12:00:00Z"}`, false},
		"time_open":           {`{"o":{"in":"d"},"at":"2026-11-21T12:00:00Z}`, false},
		"twice":               {`{"o":{"in":"d"},"s":"a","s":"b"}`, false},
		"other_order":         {`{"s":"a","o":{"in":"d"}}`, false},
		"unknown":             {`{"o":{"in":"d","x":1}}`, false},
		"surrogates":          {`{"o":{"in":"d"},"s":"\ud83d\ude00"}`, false},
		"escape_unknown":      {`{"o":{"in":"d"},"s":"\x"}`, false},
		"escape_short":        {`{"o":{"in":"d"},"s":"\u123"}`, false},
		"escape_not_hex":      {`{"o":{"in":"d"},"s":"\u+123"}`, false},
		"control":             {"{\"o\":{\"in\":\"\x1f\"}}", false},
		"no_utf8":             {"{\"o\":{\"in\":\"\xff\"}}", false},
		"space":               {`{"o": {"in":"d"}}`, false},
		"more":                {`{"o":{"in":"d"}} `, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := flatjson.NewReader(tt.text)
			r.Begin("o")
			r.String("in")
			r.End()
			r.String("s")
			r.Strings("l")
			r.True("t")
			r.Time("at")
			if got := r.Done(); got != tt.want {
				t.Errorf("Done = %v, want %v", got, tt.want)
			}
		})
	}
}
