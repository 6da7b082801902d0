package scene_test

import (
	"errors"
	"strings"
	"testing"

	"usher/messenger/simulator/scene"
)

// What cannot be played is refused with its place and how to mend it.
func TestParseFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ src, want string }{
		"empty":                {"# nothing\n", `s.txt:1:1: nothing happens in it: write a line such as 10:00 ann says "hello"`},
		"no_time":              {"ann says hello\n", "s.txt:1:1: want a time: 10:00"},
		"bad_time":             {"# x\n25:00 ann says hello\n", "s.txt:2:1: want a time"},
		"bad_day":              {"+1 week ann says hello\n", "s.txt:1:4: want a time"},
		"negative_day":         {"+-1d 10:00 ann says hello\n", "s.txt:1:1: want a time"},
		"day_alone":            {"+1d\n", "s.txt:1:1: want a time"},
		"time_back":            {"10:00 ann reads\n09:59 ann reads\n", "s.txt:2:1: time goes back: write +1d 09:59"},
		"time_back_later":      {"+2d 10:00 ann reads\n+1d 11:00 ann reads\n", "s.txt:2:1: time goes back: write +3d 11:00"},
		"nobody":               {"10:00\n", "s.txt:1:1: want who does what"},
		"who_alone":            {"10:00 ann\n", "s.txt:1:7: want who does what"},
		"unknown_verb":         {"10:00 ann sings\n", `s.txt:1:11: ann cannot "sings": a customer (no app is called so: the page line names apps) can: blocks, `},
		"unknown_agent_verb":   {"10:00 agent takes\n", `s.txt:1:13: agent cannot "takes": an agent can: done, `},
		"unknown_app_verb":     {"10:00 usher says hi\n", `s.txt:1:13: usher cannot "says": an app can: asks_owner, `},
		"inbox_acts":           {"10:00 inbox replies hi\n", "s.txt:1:7: people act in the inbox: write agent replies"},
		"shouted":              {"10:00 Ann says hi\n", "s.txt:1:7: want the name of a customer in small letters"},
		"no_text":              {"10:00 ann says\n", "s.txt:1:11: says needs a text"},
		"no_field":             {"10:00 usher extends\n", "s.txt:1:13: extends needs for="},
		"text_for_nothing":     {"10:00 ann reads it\n", "s.txt:1:17: reads takes no text"},
		"two_texts":            {"10:00 ann says hello there\n", "s.txt:1:22: one text is enough: quote it"},
		"open_quote":           {"10:00 ann says \"hello\n", `s.txt:1:16: the text has no end: close it with "`},
		"open_backquote":       {"10:00 ann says `hello\n", "s.txt:1:16: the text has no end: close it with `"},
		"column_in_characters": {"10:00 ann says \"äöü\" x\n", "s.txt:1:22: one text is enough"},
		"unknown_field":        {"10:00 usher takes app=inbox\n", "takes no app=: it takes customer, metadata"},
		"twice":                {"10:00 usher takes metadata=a metadata=b\n", "s.txt:1:30: metadata= comes twice"},
		"unknown_app":          {"10:00 usher passes app=desk\n", `s.txt:1:20: no app is called "desk": use usher, inbox, or name it on the page line`},
		"bad_customer":         {"10:00 usher takes customer=7\n", "s.txt:1:19: want the name of a customer"},
		"bad_body":             {"10:00 usher calls method=POST path=me body=x\n", "s.txt:1:39: body: "},
		"nothing_else":         {"10:00 nothing works\n", "s.txt:1:15: want: nothing happens"},
		"early_outcome":        {"> to usher\n10:00 ann reads\n", "s.txt:1:1: nothing has happened yet"},
		"late_page":            {"10:00 ann reads\npage done=pass\n", "s.txt:2:1: the page line comes first; later, write 10:00 meta sets"},
		"unknown_setting":      {"page colour=red\n10:00 ann reads\n", `s.txt:1:6: setting "colour": there is none of that name`},
		"bad_setting":          {"page done=perhaps\n10:00 ann reads\n", "s.txt:1:6: setting done=perhaps: "},
		"default_by_id":        {"page default_app=1\n10:00 ann reads\n", "s.txt:1:6: it is set otherwise: default=desk"},
		"default_of_nobody":    {"page default=desk\n10:00 ann reads\n", `s.txt:1:6: no app is called "desk"`},
		"apps_alone":           {"page apps\n10:00 ann reads\n", "s.txt:1:6: name them: apps=desk"},
		"unknown_meta_verb":    {"10:00 meta sleeps\n", `s.txt:1:12: meta cannot "sleeps": it also can: allows, `},
		"nothing_set":          {"10:00 meta sets\n", "s.txt:1:12: sets needs name=value: there are default, "},
		"meta_field":           {"10:00 meta holds batch=1\n", "s.txt:1:18: holds takes no batch: it takes nothing more"},
		"meta_unknown_app":     {"10:00 meta allows app=desk\n", `s.txt:1:19: no app is called "desk"`},
		"failure":              {"10:00 meta fails edge=messages colour=red\n", `s.txt:1:32: json: unknown field "colour"`},
		"no_failure":           {"10:00 meta fails\n", "s.txt:1:12: fails needs name=value: edge=messages code=613, say"},
		"failure_of_nobody":    {"10:00 meta fails app=desk\n", `s.txt:1:18: no app is called "desk"`},
		"unallowed":            {"10:00 meta allows\n", "s.txt:1:12: allows needs name=value: app"},
		"text_for_meta":        {"10:00 meta allows desk\n", "s.txt:1:19: allows takes no text"},
		"ai_tries":             {"10:00 ai says hi\n", `s.txt:1:10: ai cannot "says": Meta's AI can: leaves, `},
		"meta_bad_setting":     {"10:00 meta sets done=no\n", "s.txt:1:17: setting done=no"},
		"all_at_once":          {"10:00 ann sings\n10:01 bob sings\n", "s.txt:2:11: bob cannot"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := scene.Parse("s.txt", []byte(tt.src))
			if _, ok := errors.AsType[*scene.FaultError](err); !ok || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse = %v, want %q", err, tt.want)
			}
		})
	}
}

// A difference shows the line of the script it stands below.
func TestDiff(t *testing.T) {
	t.Parallel()
	want := "# Prose\n10:00 ann says hello\n> a\n> b\n10:01 ann reads\n> c\n"
	if d := scene.Diff("s.txt", want, want); d != "" {
		t.Errorf("Diff of the same = %q", d)
	}
	got := scene.Diff("s.txt", want, "# Prose\n10:00 ann says hello\n> a\n> x\n10:01 ann reads\n> c\n> d\n")
	if diff := "s.txt: - expected, + what happened\n     2  10:00 ann says hello\n-    4  > b\n+       > x\n     5  10:01 ann reads\n+       > d\n"; got != diff {
		t.Errorf("Diff = %q, want %q", got, diff)
	}
}

// A scene says itself again, whatever stood in its `>` lines; what cannot be done
// is told.
func TestPlayWritesWhatCameOfIt(t *testing.T) {
	t.Parallel()
	src := "# Prose\npage app=echo apps=desk\n\n10:00 ann says \"hi\"\n> nonsense\n10:00:30 ann taps Yes\n10:01 bob says `a \"b\"`\n" +
		"10:02 echo takes customer=ann\n10:03 echo takes\n10:04 meta holds\n10:05 ann says late\n10:06 meta delivers batch=2\n10:07 agent replies x customer=cy\n"
	want := "# Prose\npage app=echo apps=desk\n\n10:00 ann says \"hi\"\n> to echo, messaging: message \"hi\"\n> to desk, standby: message \"hi\"\n" +
		"10:00:30 ann taps Yes\n> cannot: tap \"Yes\": not on the phone\n" +
		"10:01 bob says `a \"b\"`\n> to echo, messaging: message \"a \\\"b\\\"\" (bob)\n> to desk, standby: message \"a \\\"b\\\"\" (bob)\n" +
		"10:02 echo takes customer=ann\n> ann's thread: echo until +1d 10:02\n10:03 echo takes\n> bob's thread: echo until +1d 10:03\n" +
		"10:04 meta holds\n10:05 ann says late\n> ann's thread: echo until +1d 10:05\n" +
		"10:06 meta delivers batch=2\n> to echo, messaging: message \"late\" (ann)\n> to desk, standby: message \"late\" (ann)\n" +
		"10:07 agent replies x customer=cy\n"
	got := play(t, "s.txt", src)
	before, _, ok := strings.Cut(got, "> cannot: reply to")
	if !ok {
		t.Errorf("an agent answered who was never written to:\n%s", got)
	}
	if diff := scene.Diff("s.txt", want, before); diff != "" {
		t.Error(diff)
	}
}
