package metrics_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"usher/handover"
	"usher/handover/engine"
	"usher/handover/metrics"
	"usher/messenger"
)

// documented returns all that a scrape can show: the labels of each metric by its
// name. Histograms stand there with their suffixes.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	m := metrics.New("v1", []messenger.PageID{page})
	p := &parts{status: []engine.PageStatus{{Page: page}}}
	m.Watch(p, p, 64, func() time.Time { return time.Time{} })
	key := thread(page).String()
	m.Line(engine.Line{Thread: key, Moved: true, Cause: handover.CauseButton, Episode: &handover.Episode{}})
	m.Measure(engine.Measure{What: engine.FirstReply, Page: page})
	m.Request(page, requestOK)
	m.Delivery(deliveryOK)
	all := map[string][]string{}
	for line := range strings.Lines(scrape(t, m)) {
		found := regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? `).FindStringSubmatch(line)
		if found == nil {
			continue
		}
		for _, label := range regexp.MustCompile(`(\w+)=`).FindAllStringSubmatch(found[2], -1) {
			if !slices.Contains(all[found[1]], label[1]) {
				all[found[1]] = append(all[found[1]], label[1])
			}
		}
		if all[found[1]] == nil {
			all[found[1]] = []string{}
		}
	}
	return all
}

// expression is a query, with what it says of itself.
type expression struct{ of, query string }

// alert is a rule of alerts.yaml.
type alert struct {
	Alert       string
	Expr        string
	For         string
	Labels      struct{ Severity string }
	Annotations struct{ Summary, Description, Runbook string }
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	src, err := os.ReadFile("../../deploy/prometheus/alerts.yaml")
	if err == nil {
		err = yaml.UnmarshalWithOptions(src, &file, yaml.Strict())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// dashboard is what is looked at of usher.json.
type dashboard struct {
	UID, Title string
	Templating struct {
		List []struct{ Name, Definition string }
	}
	Panels []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	src, err := os.ReadFile("../../deploy/grafana/usher.json")
	if err == nil {
		err = json.Unmarshal(src, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Alerts and dashboard ask for nothing that is not there.
func TestExpressions(t *testing.T) {
	t.Parallel()
	var all []expression
	for _, a := range alerts(t) {
		all = append(all, expression{a.Alert, a.Expr})
	}
	d := readDashboard(t)
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all = append(all, expression{p.Title, q.Expr})
		}
	}
	if len(all) < 40 {
		t.Errorf("found %d expressions: this test tests nothing", len(all))
	}
	known := documented(t)
	used := map[string]bool{}
	for _, e := range all {
		for _, name := range e.check(t, known) {
			used[name] = true
		}
	}
	for name := range known {
		family := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		if strings.HasPrefix(name, "usher_") && !used[name] && !used[family+"_bucket"] && !used[family+"_count"] && !slices.Contains(seldom, name) {
			t.Errorf("%s is in no alert and on no panel", name)
		}
	}
}

// seldom are metrics for who looks for something, and for no panel.
var seldom = []string{"usher_redis_pool_hits_total", "usher_redis_pool_misses_total", "usher_redis_pool_stale_total"}

// check holds a query against the metrics and labels that there are, and returns
// the metrics that it uses.
func (e expression) check(t *testing.T, known map[string][]string) (used []string) {
	t.Helper()
	text := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(e.query, `""`)
	for _, pair := range []string{"()", "{}", "[]"} {
		if strings.Count(text, pair[:1]) != strings.Count(text, pair[1:]) {
			t.Errorf("%s: %s is not balanced in %s", e.of, pair, e.query)
		}
	}
	for _, found := range regexp.MustCompile(`\b(?:usher|go|process)_\w+(\{[^}]*\})?`).FindAllStringSubmatch(text, -1) {
		name := strings.TrimSuffix(found[0], found[1])
		labels, ok := known[name]
		if !ok {
			t.Errorf("%s: there is no metric %s", e.of, name)
			continue
		}
		used = append(used, name)
		for _, label := range regexp.MustCompile(`(\w+)[=!]`).FindAllStringSubmatch(found[1], -1) {
			if !slices.Contains(labels, label[1]) {
				t.Errorf("%s: %s has no label %s", e.of, name, label[1])
			}
		}
	}
	if used == nil {
		t.Errorf("%s uses no metric: %s", e.of, e.query)
	}
	return used
}

// Every alert says what is wrong, how bad it is, and where it stands what to do.
func TestAlerts(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range alerts(t) {
		switch {
		case !regexp.MustCompile(`^Usher[A-Z]\w+$`).MatchString(a.Alert) || seen[a.Alert]:
			t.Errorf("%q is no name, or not the only one", a.Alert)
		case a.Labels.Severity != "critical" && a.Labels.Severity != "warning":
			t.Errorf("%s: severity is %q, want critical or warning", a.Alert, a.Labels.Severity)
		case a.Annotations.Summary == "" || a.Annotations.Description == "":
			t.Errorf("%s: summary or description is missing", a.Alert)
		case a.Annotations.Runbook != "docs/operations.md#"+strings.ToLower(a.Alert):
			t.Errorf("%s: runbook is %q", a.Alert, a.Annotations.Runbook)
		case !strings.Contains(string(manual), "\n#### "+a.Alert+"\n"):
			t.Errorf("%s has no heading in docs/operations.md", a.Alert)
		}
		if _, err := time.ParseDuration(a.For); err != nil && a.For != "" {
			t.Errorf("%s: for: %v", a.Alert, err)
		}
		seen[a.Alert] = true
	}
	for _, found := range regexp.MustCompile(`(?m)^#### (Usher\w+)$`).FindAllStringSubmatch(string(manual), -1) {
		if !seen[found[1]] {
			t.Errorf("docs/operations.md explains %s, which is no alert", found[1])
		}
	}
}

// Panels have a place of their own and something to show.
func TestDashboard(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	if d.UID != "usher" || len(d.Templating.List) != 2 {
		t.Errorf("uid %q, %d variables", d.UID, len(d.Templating.List))
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d, %q: its id is taken, or it has no title or nothing to show", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				at := [2]int{x, y}
				if taken[at] != "" || x >= 24 {
					t.Fatalf("%q stands on %q, or outside", p.Title, taken[at])
				}
				taken[at] = p.Title
			}
		}
	}
}

// Every metric stands in the manual, with its labels.
func TestManual(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(usher_\\w+)` \\|([^|]*)\\|").FindAllStringSubmatch(string(manual), -1) {
		rows[row[1]] = row[2]
	}
	known := documented(t)
	for name, labels := range known {
		family := name
		if _, plain := rows[name]; !plain {
			family = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		}
		if !strings.HasPrefix(name, "usher_") {
			continue
		}
		row, ok := rows[family]
		if !ok {
			t.Errorf("docs/operations.md has no row for %s", family)
		}
		for _, label := range labels {
			if label != "le" && !strings.Contains(row, "`"+label+"`") {
				t.Errorf("docs/operations.md does not tell label %s of %s", label, family)
			}
		}
	}
	for name := range rows {
		if known[name] == nil && known[name+"_count"] == nil {
			t.Errorf("docs/operations.md has a row for %s, which does not exist", name)
		}
	}
}
