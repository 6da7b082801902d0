package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usher/messenger/webhook"
)

// A short run measures each case, every event has its reply, and nothing is left
// behind.
func TestLoad(t *testing.T) {
	if built == "" {
		t.Skip(errNoRedis)
	}
	t.Setenv("TMPDIR", t.TempDir())
	file := filepath.Join(t.TempDir(), "load.json")
	code, out, errs := exec(t, "load", "--usher", built, "--for", "300ms", "--rounds", "1", "--connections", "4", "--batches", "1,20", "--rates", "50", "--json", file)
	if code != exitOK {
		t.Fatalf("exits %d:\n%s\n%s", code, out, errs)
	}
	rows := rowsOf(t, file)
	if len(rows) != 3 || rows[0].Batch != 1 || rows[1].Batch != 20 || rows[2].Asked != 50 {
		t.Fatalf("measured %+v, want batches of 1 and 20 and a rate of 50", rows)
	}
	for _, m := range rows {
		if m.Acked == 0 || m.Replied == 0 || m.Failed+m.Missing+m.Strays > 0 || m.Reply.P99 < m.Reply.P50 || m.Reply.Max <= 0 {
			t.Errorf("measured %+v, want each event acknowledged and answered", m)
		}
	}
	if !strings.Contains(out, "usher, closed loop") || !strings.Contains(out, "usher, open loop") {
		t.Errorf("the table is\n%s", out)
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The yardsticks do what they are for, and Usher is compared with each.
func TestLoadBesideYardsticks(t *testing.T) {
	if built == "" {
		t.Skip(errNoRedis)
	}
	t.Setenv("TMPDIR", t.TempDir())
	file := filepath.Join(t.TempDir(), "load.json")
	code, out, errs := exec(t, "load", "--usher", built, "--baseline", "--for", "200ms", "--rounds", "2", "--connections", "4", "--batches", "3", "--steps", "0", "--json", file)
	if code != exitOK {
		t.Fatalf("exits %d:\n%s\n%s", code, out, errs)
	}
	var cases []string
	for _, m := range rowsOf(t, file) {
		cases = append(cases, m.Case)
		yardstick, replies := m.Case != "usher, closed loop", m.Case == baselineSketch || m.Case == "usher, closed loop"
		if m.Rounds != 2 || m.Acked == 0 || m.Failed+m.Missing+m.Strays > 0 || replies != (m.Replied > 0) ||
			yardstick != (m.UsherAcked != nil) || (m.Case == baselineSketch) != (m.UsherReplied != nil) || m.LoadCPU <= 0 {
			t.Errorf("measured %+v, want two rounds, each event acknowledged and answered", m)
		}
	}
	if want := []string{"usher, closed loop", baselineRedis, baselineEcho, baselineSketch}; !slices.Equal(cases, want) {
		t.Errorf("measured %q, want %q", cases, want)
	}
	if !strings.Contains(out, "of what sketch does, and replies ") || !strings.Contains(out, "of what redis does\n") {
		t.Errorf("the table is\n%s", out)
	}
}

func rowsOf(t *testing.T, file string) (rows []measured) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &rows)
	}
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// The middle round is told, and what Usher has done in the same rounds.
func TestMiddleOfRounds(t *testing.T) {
	t.Parallel()
	usher := []measured{{Case: "usher", Acked: 60, Replied: 50}, {Case: "usher", Acked: 10, Replied: 10}, {Case: "usher", Acked: 30, Replied: 20}}
	if got := middle(usher, usher); got.Replied != 20 || got.Rounds != 3 || got.UsherAcked != nil {
		t.Errorf("of Usher %+v is told, want the one with 20 replies", got)
	}
	sketch := []measured{{Case: "sketch", Acked: 60, Replied: 100}, {Case: "sketch", Acked: 40, Replied: 40}, {Case: "sketch", Acked: 40, Replied: 50}}
	got := middle(sketch, usher)
	if acked, replied := (share{0.75, 0.25, 1}), (share{0.4, 0.25, 0.5}); got.Replied != 50 || *got.UsherAcked != acked || *got.UsherReplied != replied {
		t.Errorf("of the sketch %v is told, want the one with 50 replies; Usher acknowledges %v of it and replies %v, want %v and %v", got.Replied, got.UsherAcked, got.UsherReplied, &acked, &replied)
	}
	if got := middle(sketch[:2], usher[:2]); got.Replied != 40 || got.UsherReplied.Middle != 0.375 {
		t.Errorf("of two rounds %v and %v are told, want the lower one and the mean", got.Replied, got.UsherReplied)
	}
	lossy := []measured{{Case: "usher", Replied: 1, Failed: 1, Missing: 2, Strays: 3}, {Case: "usher", Replied: 2}, {Case: "usher", Replied: 3, Failed: 10, Missing: 20, Strays: 30}}
	if got := middle(lossy, lossy); got.Replied != 2 || got.Failed != 11 || got.Missing != 22 || got.Strays != 33 {
		t.Errorf("of what went wrong in other rounds %+v is told, want all of it", got)
	}
	if got := middle([]measured{{Case: "echo", Acked: 5}}, usher[:1]); got.UsherReplied != nil || got.UsherAcked.Middle != 12 {
		t.Errorf("of what never replies %v is told, want nothing of replies", got.UsherReplied)
	}
}

// What is not acknowledged, never answered or answered twice is counted as such.
func TestDriverCounts(t *testing.T) {
	t.Parallel()
	d := &driver{secret: "s", page: "1", threads: 3, batch: 2}
	graph := startGraph(t, d.answer)
	bodies := 0
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		events, decodeErr := webhook.Decode(body)
		if err != nil || decodeErr != nil || len(events) != 2 || r.Header.Get("X-Hub-Signature-256") != webhook.Sign([]byte("s"), body) {
			t.Errorf("delivered %q, %v, %v", body, err, decodeErr)
		}
		bodies++
		if bodies == 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		for range 2 { // one reply too many, and none to the other
			res, err := http.Post("http://"+graph.address()+"/v26.0/1/messages", "application/json", strings.NewReader(`{"recipient":{"id":"`+string(events[0].Thread.PSID)+`"},"message":{"text":"hi"}}`))
			if err != nil {
				t.Error(err)
				return
			}
			_ = res.Body.Close()
		}
	}))
	t.Cleanup(hook.Close)
	if err := d.to(hook.URL); err != nil {
		t.Fatal(err)
	}
	d.reset()
	d.post(t.Context(), now())
	d.post(t.Context(), now())
	if d.acked != 2 || d.failed != 2 || d.replied != 1 || d.strays != 1 || d.waiting != 3 {
		t.Errorf("%d acknowledged, %d failed, %d replied, %d strays, %d waiting; want 2, 2, 1, 1, 3", d.acked, d.failed, d.replied, d.strays, d.waiting)
	}
}

// The latency of an open loop counts from when an event was due.
func TestLatencyCountsFromWhenItWasDue(t *testing.T) {
	t.Parallel()
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(hook.Close)
	d := &driver{page: "1", threads: 1, batch: 1}
	if err := d.to(hook.URL); err != nil {
		t.Fatal(err)
	}
	d.reset()
	d.post(t.Context(), now().Add(-time.Second))
	if got := latencyOf(d.ack).P50; got < 1000 {
		t.Errorf("an event sent a second late took %.1f ms, want 1000 or more", got)
	}
}

// What grows is seen, what is noise is not.
func TestTrends(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		of   func(n float64) sample
		want []string
	}{
		"steady": {of: func(n float64) sample {
			return sample{ResidentMB: 50 + float64(int(n)%2), Goroutines: 300 + float64(int(n)%7), Files: 80}
		}},
		"grows_at_first_only": {of: func(n float64) sample {
			return sample{ResidentMB: min(20+n, 50), Goroutines: min(10*n, 400), Files: 80}
		}},
		"memory":     {of: func(n float64) sample { return sample{ResidentMB: 50 + n, Goroutines: 300, Files: 80} }, want: []string{"MB resident"}},
		"goroutines": {of: func(n float64) sample { return sample{ResidentMB: 50, Goroutines: 300 + 3*n, Files: 80} }, want: []string{"goroutines"}},
		"files":      {of: func(n float64) sample { return sample{ResidentMB: 50, Goroutines: 300, Files: 80 + n} }, want: []string{"open files"}},
		"redis":      {of: func(n float64) sample { return sample{RedisMB: n * n} }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var samples []sample
			for n := range 100 {
				s := tt.of(float64(n))
				s.At = 10 * float64(n)
				samples = append(samples, s)
			}
			var got []string
			for _, x := range trends(samples) {
				if x.Grows {
					got = append(got, x.What)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q grow, want %q", got, tt.want)
			}
		})
	}
	if got, mean := slope([]sample{{At: 0, Files: 1}, {At: 2, Files: 7}}, func(s sample) float64 { return s.Files }); got != 3 || mean != 4 {
		t.Errorf("slope = %v, mean %v; want 3 and 4", got, mean)
	}
}

// A short soak samples the process and ends with a verdict.
func TestSoak(t *testing.T) {
	if built == "" {
		t.Skip(errNoRedis)
	}
	t.Setenv("TMPDIR", t.TempDir())
	file := filepath.Join(t.TempDir(), "soak.json")
	code, out, errs := exec(t, "soak", "--usher", built, "--for", "2s", "--every", "50ms", "--rate", "20", "--json", file)
	if code != exitOK && !strings.Contains(errs, errGrows.Error()) { // it may grow for so short a time
		t.Fatalf("exits %d:\n%s\n%s", code, out, errs)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var results soakResults
	if err := json.Unmarshal(b, &results); err != nil {
		t.Fatal(err)
	}
	if len(results.Samples) < leastSamples || len(results.Trends) != 4 || results.Load.Failed+results.Load.Missing > 0 {
		t.Errorf("soaked %+v", results)
	}
	for _, s := range results.Samples {
		if s.Goroutines == 0 || s.RedisMB == 0 {
			t.Errorf("sampled %+v", s)
		}
	}
}
