package handover_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher/handover"
)

var update = flag.Bool("update", false, "write what Decide does into the transcripts")

const transcripts = "../testdata/transcripts"

// TestTranscripts plays the conversations that are Decide's specification.
// testdata/transcripts/README.md says how to read and to write them.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(transcripts, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("transcripts in %s: %d, %v", transcripts, len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("transcript (-want +got), see the flag -update:\n%s", diff)
			}
		})
	}
}

// player plays a transcript.
type player struct {
	*shell

	lines []string // told since the last line of the script
	now   time.Time
}

// play returns a transcript with its `>` lines written anew.
func play(t *testing.T, transcript string) string {
	t.Helper()
	p := &player{}
	p.shell = newShell(t, func(line string) { p.lines = append(p.lines, line) })
	p.rules.Target = "inbox"
	var out strings.Builder
	for i, line := range strings.Split(strings.TrimSuffix(transcript, "\n"), "\n") {
		if strings.HasPrefix(line, ">") {
			continue
		}
		fmt.Fprintln(&out, line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := p.line(line); err != nil {
			t.Fatalf("line %d: %s: %v", i+1, line, err)
		}
		for _, told := range p.lines {
			fmt.Fprintln(&out, "> "+told)
		}
		p.lines = nil
	}
	return out.String()
}

var word = regexp.MustCompile(`[^\s"=]+="[^"]*"|"[^"]*"|\S+`)

// line plays one line of the script.
func (p *player) line(line string) error {
	words := word.FindAllString(line, -1)
	switch words[0] {
	case "rules":
		return p.setRules(words[1:])
	case "script":
		verdict, err := parseVerdict(words[1:])
		p.verdict = verdict
		return err
	}
	at, words, err := parseTime(words)
	switch {
	case err != nil:
		return err
	case at.Before(p.now):
		return fmt.Errorf("time goes back from %v", p.now)
	case len(words) == 0:
		return errors.New("nothing happens")
	}
	p.now = at
	switch words[0] {
	case "sent":
		p.send()
		p.tell("under way: " + describe(p.outbox[0].effect))
		return nil
	case "call", "owner":
		if err := p.endCall(words); err != nil {
			return err
		}
	default:
		ev, err := p.event(words)
		if err != nil {
			return err
		}
		p.decide(ev, at)
	}
	p.lines = append([]string{describeState(p.state)}, p.lines...)
	return nil
}

// parseTime reads `[+1d] 10:00[:00[.000]]`.
func parseTime(words []string) (time.Time, []string, error) {
	day := firstDay
	if days, ok := strings.CutPrefix(words[0], "+"); ok {
		n, err := strconv.Atoi(strings.TrimSuffix(days, "d"))
		if err != nil || len(words) < 2 {
			return time.Time{}, nil, errors.New("want +1d 10:00, say")
		}
		day, words = day.AddDate(0, 0, n), words[1:]
	}
	at, err := parseClock(day, words[0])
	return at, words[1:], err
}

func parseClock(day time.Time, text string) (time.Time, error) {
	layout := "15:04:05"
	if len(text) == len("15:04") {
		layout = "15:04"
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return time.Time{}, err
	}
	return day.Add(t.Sub(t.Truncate(24 * time.Hour))), nil
}

// metaTime takes `at=10:00:00` (or `at=+1d10:00`, or `at=unknown`) from the end
// of words: Meta's time of an event where it is not the line's.
func (p *player) metaTime(words []string) (time.Time, []string, error) {
	last, ok := strings.CutPrefix(words[len(words)-1], "at=")
	if !ok {
		return p.now, words, nil
	}
	words = words[:len(words)-1]
	if last == "unknown" {
		return time.Time{}, words, nil
	}
	if n, clock, ok := strings.Cut(last, "d"); ok {
		at, _, err := parseTime([]string{n + "d", clock})
		return at, words, err
	}
	at, err := parseClock(p.now.Truncate(24*time.Hour), last)
	return at, words, err
}

func (p *player) setRules(words []string) error {
	r := handover.Rules{Target: "inbox"}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		value = strings.Trim(value, `"`)
		var err error
		switch name {
		case "target":
			r.Target = value
		case "limit":
			r.TimeLimit, err = time.ParseDuration(value)
		case "from":
			r.LimitFrom = handover.LimitFrom(value)
		case "reopen":
			r.Reopen, err = time.ParseDuration(value)
		case "handoff":
			r.HandoffKeywords = strings.Split(value, "|")
		case "back":
			r.BackKeywords = strings.Split(value, "|")
		case "misses":
			r.Misunderstandings, err = strconv.Atoi(value)
		case "requests":
			r.HonourRequests = true
		case "zero_config":
			r.ZeroConfig = true
		default:
			err = fmt.Errorf("unknown rule %q", name)
		}
		if err != nil {
			return err
		}
	}
	p.rules = r
	return nil
}

func parseVerdict(words []string) (handover.Answered, error) {
	switch strings.Join(words, " ") {
	case "answered":
		return handover.Answered{Said: true}, nil
	case "missed":
		return handover.Answered{Said: true, Missed: true}, nil
	case "handoff":
		return handover.Answered{Said: true, Handoff: true}, nil
	case "silent":
		return handover.Answered{}, nil
	}
	return handover.Answered{}, errors.New("want answered, missed, handoff or silent")
}

// event reads what happened.
func (p *player) event(words []string) (handover.Event, error) {
	metaAt, words, err := p.metaTime(words)
	if err != nil {
		return nil, err
	}
	if words[0] == "customer" {
		return customerEvent(words[1:], metaAt)
	}
	switch event := strings.Join(words, " "); event {
	case "agent":
		return handover.AgentSpoke{At: metaAt}, nil
	case "agent found":
		return handover.AgentSpoke{At: metaAt, Found: true}, nil
	case "passed to us":
		return handover.ControlPassed{ToUs: true, At: metaAt}, nil
	case "taken by us":
		return handover.ControlTaken{ByUs: true, At: metaAt}, nil
	case "taken by other":
		return handover.ControlTaken{At: metaAt}, nil
	case "our echo":
		return handover.OwnEcho{}, nil
	case "tick":
		return handover.Tick{}, nil
	case "operator pass", "operator take", "operator release":
		return handover.Commanded{Command: handover.Command(words[1])}, nil
	default:
		for prefix, read := range map[string]func(app string) handover.Event{
			"passed to ":     func(app string) handover.Event { return handover.ControlPassed{To: app, At: metaAt} },
			"requested by ":  func(app string) handover.Event { return handover.ControlRequested{By: app, At: metaAt} },
			"operator pass ": func(app string) handover.Event { return handover.Commanded{Command: handover.CommandPass, Target: app} },
		} {
			if app, ok := strings.CutPrefix(event, prefix); ok {
				return read(app), nil
			}
		}
		if verdict, ok := strings.CutPrefix(event, "script "); ok {
			answered, err := parseVerdict([]string{verdict})
			answered.At = metaAt
			return answered, err
		}
	}
	return nil, errors.New("unknown event")
}

func customerEvent(words []string, metaAt time.Time) (handover.Event, error) {
	e := handover.CustomerActed{At: metaAt}
	for i, w := range words {
		act, known := acts[w]
		switch {
		case i == 0 && known:
			e.Act = act
		case i == 0:
			return nil, fmt.Errorf("unknown act %q", w)
		case w == "standby":
			e.Standby = true
		case w == "too_late":
			e.TooLate = true
		case strings.HasPrefix(w, `"`):
			e.Text = strings.Trim(w, `"`)
		default:
			e.Payload = w
		}
	}
	return e, nil
}

// endCall reads how the next call ended.
func (p *player) endCall(words []string) error {
	if len(words) != 2 {
		return errors.New("want one outcome")
	}
	if words[0] == "owner" {
		holders := map[string]handover.Holder{
			"us": handover.HeldByUs, "nobody": handover.HeldByNobody, "other": handover.HeldByOther,
		}
		holder, ok := holders[words[1]]
		if !ok || !is[handover.ReadOwner](p.send().effect) {
			return errors.New("want us, nobody or other, of a ReadOwner")
		}
		p.end(handover.OK, holder, p.now)
		return nil
	}
	for outcome, name := range outcomes {
		if name == words[1] {
			p.end(outcome, handover.HeldByOther, p.now)
			return nil
		}
	}
	return fmt.Errorf("unknown outcome %q", words[1])
}
