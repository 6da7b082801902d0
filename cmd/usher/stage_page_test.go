package main

import (
	"context"
	"testing"
	"time"

	"usher/cmd/usher/page"
	"usher/messenger"
)

// ann is the first customer.
const ann messenger.PSID = "7000000000000001"

func newTheatre(t *testing.T, change func(*theatreOptions)) *theatre {
	t.Helper()
	cfg, script, err := demoSettings()
	if err != nil {
		t.Fatal(err)
	}
	o := theatreOptions{cfg: cfg, script: script, patience: 20 * time.Second}
	if change != nil {
		change(&o)
	}
	th, err := openTheatre(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := th.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return th
}

// until waits for a state of the page.
func (t *theatre) untilState(tb testing.TB, reached func(page.State) bool) page.State {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	var after int64
	for {
		_, changed := t.Log(after, 0)
		s, err := t.State(ctx)
		if err != nil {
			tb.Fatal(err)
		}
		if reached(s) {
			return s
		}
		select {
		case <-changed:
		case <-ctx.Done():
			tb.Fatalf("not reached: %+v", s)
		}
	}
}

func TestPlots(t *testing.T) {
	t.Parallel()
	for _, s := range situations() {
		t.Run(s.id, func(t *testing.T) {
			t.Parallel()
			th := newTheatre(t, nil)
			start := time.Now()
			if err := th.Do(t.Context(), page.Act{Do: page.DoPlay, PSID: ann, Text: s.id}); err != nil {
				t.Fatal(err)
			}
			got := th.untilState(t, func(s page.State) bool { return s.Playing == "" })
			t.Log(time.Since(start))
			for _, g := range got.Situations {
				if g.ID == s.id && g.Verdict != "held" {
					t.Errorf("%s: %s", g.Verdict, g.Proof)
				}
				if g.ID == s.id {
					t.Log(g.Proof, got.Tally)
				}
			}
			all, _ := th.Log(0, 1000)
			for _, e := range all {
				t.Logf("%s %-8s %-5s %s", e.At.Format("05.000"), e.Kind, e.Tone, e.Title)
			}
		})
	}
}
