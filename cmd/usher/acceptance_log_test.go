package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// logFields returns the fields that a line of the log may have, as the manual tells.
var logFields = sync.OnceValues(func() (map[string]bool, error) {
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		return nil, err
	}
	_, table, _ := strings.Cut(string(manual), "\n## The log\n")
	table, _, _ = strings.Cut(table, "\n## ")
	fields := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| ((?:`[a-z_]+` ?)+)\\|").FindAllStringSubmatch(table, -1) {
		for name := range strings.FieldsSeq(row[1]) {
			fields[strings.Trim(name, "`")] = true
		}
	}
	return fields, nil
})

// wantKnownFields wants each line of a log to be JSON, with its time, level and
// message, and with no field that the manual does not explain.
func wantKnownFields(t *testing.T, log string) {
	t.Helper()
	known, err := logFields()
	if err != nil || len(known) < 10 {
		t.Errorf("docs/operations.md explains %d fields, %v", len(known), err)
	}
	for text := range strings.Lines(log) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Errorf("a line of the log is no JSON: %v\n%s", err, text)
			continue
		}
		for name := range line {
			if !known[name] {
				t.Errorf("docs/operations.md does not explain field %s of the log:\n%s", name, text)
			}
		}
		at, _ := line["time"].(string)
		if _, err := time.Parse("2006-01-02T15:04:05.000Z", at); err != nil || line["level"] == nil || line["message"] == nil {
			t.Errorf("a line of the log lacks time, level or message: %v\n%s", err, text)
		}
	}
}

// Every field that the code writes is explained, also where no test comes by.
func TestLogFieldsAreExplained(t *testing.T) {
	t.Parallel()
	known, err := logFields()
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{"time": true, "level": true, "message": true, "error": true} // zerolog's own
	event := regexp.MustCompile(`\b(?:Str|Strs|Stringer|Int|Int64|Uint64|Float64|Bool|Dur|Time|Bytes|Interface|Any)\("([a-z_]+)", `)
	for _, dir := range []string{".", "../../handover/engine", "../../handover/redisstore", "../../handover/tracing", "../../messenger/webhook", "../../messenger/graph", "../../messenger/watch"} {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name := file.Name()
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				continue
			}
			src, err := os.ReadFile(dir + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			for text := range strings.Lines(string(src)) {
				if strings.Contains(text, "Flags()") || strings.HasPrefix(strings.TrimSpace(text), "w.") { // w is a flatjson.Writer
					continue
				}
				for _, field := range event.FindAllStringSubmatch(text, -1) {
					written[field[1]] = true
					if !known[field[1]] {
						t.Errorf("docs/operations.md does not explain field %s, which %s writes", field[1], name)
					}
				}
			}
		}
	}
	for name := range known {
		if !written[name] {
			t.Errorf("docs/operations.md explains field %s, which nobody writes", name)
		}
	}
}

// What happens to a conversation shows in the figures.
func TestFigures(t *testing.T) {
	t.Parallel()
	w := newMetaWorld(t)
	const psid = "7000000000000001"
	her := w.meta.Customer(psid)
	must(t)(her.Says("hello"))
	w.settle(t)
	must(t)(her.Says("human"))
	w.settle(t)
	must(t)(w.meta.Agent().Replies(psid, "Hi, this is Bea."))
	w.settle(t)
	if err := w.meta.Agent().Done(psid); err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	const of = `page="` + testPage + `"`
	samples := []string{
		`usher_events_total{kind="message",` + of + `} 2`,
		`usher_phase_changes_total{cause="keyword",` + of + `,to="waiting"} 1`,
		`usher_phase_changes_total{cause="agent_spoke",` + of + `,to="human"} 1`,
		`usher_phase_changes_total{cause="done",` + of + `,to="bot"} 1`,
		`usher_episodes_total{ended="done",` + of + `} 1`,
		`usher_first_reply_seconds_count{` + of + `} 1`,
		`usher_reply_duration_seconds_count{` + of + `} 2`,
		`usher_calls_total{call="say_and_pass",outcome="ok",` + of + `} 1`,
		`usher_graph_requests_total{edge="messages",outcome="ok",` + of + `} 2`,
		`usher_page_state{` + of + `,state="open"} 1`,
		`usher_partitions_owned 64`, `usher_partitions 64`, `usher_redis_up 1`, `usher_leases_lost_total 0`,
	}
	var text string
	eventually(t, "the figures tell of it", func() bool { // they are told after the commit
		_, text = get(t, w.private+"/metrics", nil)
		for _, sample := range samples {
			if !strings.Contains(text, "\n"+sample+"\n") {
				return false
			}
		}
		return true
	})
	if strings.Contains(text, psid) {
		t.Error("the figures name a person")
	}
}
