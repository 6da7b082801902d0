package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

// Boxes are as wide as what they stand for, whatever functions are called, and what
// cannot be seen is left out.
func TestFlame(t *testing.T) {
	t.Parallel()
	functions := []*profile.Function{{ID: 1, Name: "main.main"}, {ID: 2, Name: "usher/handover/engine.(*Engine).Run"}, {ID: 3, Name: "sort.Slice[<&>]"}, {ID: 4, Name: "tiny"}}
	locations := make([]*profile.Location, len(functions))
	for i, f := range functions {
		locations[i] = &profile.Location{ID: f.ID, Line: []profile.Line{{Function: f}}}
	}
	stack := func(ns int64, leafFirst ...int) *profile.Sample {
		s := &profile.Sample{Value: []int64{1, ns}}
		for _, i := range leafFirst {
			s.Location = append(s.Location, locations[i])
		}
		return s
	}
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		Function:   functions, Location: locations,
		Sample: []*profile.Sample{stack(600, 1, 0), stack(150, 1, 0), stack(249, 2, 0), stack(1, 3, 0)},
	}
	file := filepath.Join(t.TempDir(), "cpu.pprof")
	var packed bytes.Buffer
	if err := p.Write(&packed); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := exec(t, "flame", file)
	if code != exitOK {
		t.Fatalf("exits %d: %s", code, errs)
	}
	for _, want := range []string{
		`<title>main.main: 100.0 %</title>`, `<title>usher/handover/engine.(*Engine).Run: 75.0 %</title>`,
		`width="899.4" height="16" rx="1.5" fill="#3b7dd8"`, `>engine.(*Engine).Run</text>`, `<title>sort.Slice[&lt;&amp;&gt;]: 24.9 %</title>`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the picture lacks %s:\n%s", want, out)
		}
	}
	if strings.Contains(out, "tiny") {
		t.Error("a thousandth is drawn")
	}
	for d := xml.NewDecoder(strings.NewReader(out)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("it is no XML: %v", err)
		}
	}
	if code, _, errs := exec(t, "flame", os.Args[0]); code != exitFailed || !strings.Contains(errs, os.Args[0]) {
		t.Errorf("of what is no profile it exits %d: %s", code, errs)
	}
}
