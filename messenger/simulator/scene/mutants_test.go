package scene_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutant is the simulator with one rule changed: the scenes named must then fail.
type mutant struct {
	rule     string
	old, new string // old stands in the simulator's sources exactly once
	scenes   string // separated by spaces
}

// mutants are what shows that the scenes hold the rules. Each scene is named.
var mutants = []mutant{
	// Who has control, and until when.
	{"control lapses", `if t.owner != "" && !m.now().Before(t.until) {`, `if false {`, "control_lapses_after_a_day only_customers_renew extend done_does_nothing"},
	{"it lapses after a day", `{ m.giveFor(t, to, day) }`, `{ m.giveFor(t, to, 2*day) }`, "owner_alone_sends pass take"},
	{"what is extended is not shortened", `m.owner(t) != "" && until.After(t.until) {`, `m.owner(t) != "" {`, "extend"},
	{"the customer renews", "	m.renew(t, t.span)\n	if m.opt", "	if m.opt", "control_lapses_after_a_day lead_ads"},
	{"she renews for as long as the ad says", "	t.acted = m.now()\n	m.renew(t, t.span)", "	t.acted = m.now()\n	m.renew(t, day)", "ad_routing"},
	{"the controller renews", `!m.opt.Doubts.OnlyCustomersRenew:`, `false:`, "control_lapses_after_a_day agent_replies"},
	{"doubt: only customers renew", `!m.opt.Doubts.OnlyCustomersRenew:`, `true:`, "only_customers_renew"},
	{"doubt: idle to default", `m.opt.Doubts.IdleOwner == IdleToDefault && m.owner(t) == ""`, `false`, "idle_owner_doubts"},
	{"idle stays idle", `m.opt.Doubts.IdleOwner == IdleToDefault && m.owner(t) == ""`, `m.owner(t) == ""`, "idle_is_for_the_default_app"},
	{"doubt: idle to default that sends", `a.id == m.defaultApp && m.opt.Doubts.IdleOwner == IdleToDefaultSend:`, `false:`, "idle_owner_doubts"},
	{"sending takes nothing", `a.id == m.defaultApp && m.opt.Doubts.IdleOwner == IdleToDefaultSend:`, `a.id == m.defaultApp:`, "idle_is_for_the_default_app release"},

	// Who hears on which channel, and who may speak.
	{"without a default app everybody leads", "if m.defaultApp == \"\" {\n		return true", "if m.defaultApp == \"\" {\n		return false", "zero_config agent_in_zero_config"},
	{"the default app leads while idle", `owner == a.id || owner == "" && a.id == m.defaultApp`, `owner == a.id`, "idle_is_for_the_default_app done_releases"},
	{"only the default app leads while idle", `owner == a.id || owner == "" && a.id == m.defaultApp`, `owner == a.id || owner == ""`, "idle_is_for_the_default_app done_without_a_default_app"},
	{"the controller leads", `return owner == a.id || owner == ""`, `return owner == ""`, "owner_alone_sends standby"},
	{"others may not send", "	case m.leads(t, a):\n		return nil", "	case true:\n		return nil", "owner_alone_sends idle_is_for_the_default_app agent_replies"},
	{"sender actions are sends", `if !m.opt.Doubts.ActionsFree {`, `if false {`, "owner_alone_sends"},
	{"doubt: actions are free", `if !m.opt.Doubts.ActionsFree {`, `if true {`, "standby_doubts"},
	{"a blocked Page may not send", `	case m.restricted:`, `	case false:`, "restricted_page"},
	{"who does not lead hears on standby", "		if m.leads(t, a) {\n			channel = Messaging", "		if true {\n			channel = Messaging", "standby owner_alone_sends idle_is_for_the_default_app"},
	{"who leads hears on messaging", "		if m.leads(t, a) {\n			channel = Messaging", "		if false {\n			channel = Messaging", "standby zero_config"},
	{"payloads are for the button's app", `if a.id == by && !hidden {`, `if !hidden {`, "standby menu_on_standby"},
	{"it hears its buttons on messaging", `p.Payload, channel = payload, Messaging`, `p.Payload = payload`, "standby menu_on_standby"},
	{"doubt: the menu is hidden", `ofMenu && c.m.opt.Doubts.MenuHidden && channel == Standby`, `false`, "menu_on_standby"},
	{"it is hidden on standby only", `c.m.opt.Doubts.MenuHidden && channel == Standby`, `c.m.opt.Doubts.MenuHidden`, "menu_on_standby"},
	{"doubt: quick replies are hidden", `channel == Standby && c.m.opt.Doubts.QuickReplyHidden`, `false`, "standby_doubts"},
	{"they are not otherwise", `channel == Standby && c.m.opt.Doubts.QuickReplyHidden`, `channel == Standby`, "standby"},
	{"echoes have their sides swapped", `if e.kind == messenger.KindEcho {`, `if false {`, "idle_is_for_the_default_app"},
	{"echoes carry metadata", `Metadata: l.Metadata, AIGenerated`, `AIGenerated`, "idle_is_for_the_default_app"},
	{"control stands beside its hop_context", `	case e.control != "":`, `	case false:`, "pass take request"},
	{"doubt: control in seconds", `m.opt.Doubts.ControlInSeconds`, `false`, "control_in_seconds"},
	{"the window is a day", `case !t.open(m.now(), s.window):`, `case false:`, "window human_agent_takes"},
	{"what she does opens the window", "	t.acted = m.now()\n	m.renew", "	if t.acted.IsZero() {\n		t.acted = m.now()\n	}\n	m.renew", "window"},
	{"who blocks the Page hears nothing", `case t.blocked:`, `case false:`, "window"},

	// What people do.
	{"a reply takes control", `a.m.owner(t) != inbox && (a.m.defaultApp != "" || a.m.filling(t))`, `false`, "agent_replies agent_moves_to_main done_releases"},
	{"it renews what the inbox has", `a.m.owner(t) != inbox && (`, `(`, "agent_moves_to_main"},
	{"it takes nothing without a default app", `(a.m.defaultApp != "" || a.m.filling(t))`, `true`, "agent_in_zero_config"},
	{"but from the lead app", `(a.m.defaultApp != "" || a.m.filling(t))`, `a.m.defaultApp != ""`, "lead_ads"},
	{"moving to Main takes control", "		t.filed = false\n		a.takes(t)", "		t.filed = false", "agent_moves_to_main"},
	{"agents have 7 days", `if !t.open(a.m.now(), maxExtension) {`, `if false {`, "agent_replies"},
	{"Done is for what the inbox has", `if inbox := a.m.opt.Inbox; a.m.owner(t) == inbox {`, `if inbox := a.m.opt.Inbox; true {`, "done_passes"},
	{"Done passes", `case a.m.opt.Done == DoneNothing:`, `case true:`, "done_passes done_releases"},
	{"doubt: Done does nothing", `case a.m.opt.Done == DoneNothing:`, `case false:`, "done_does_nothing"},
	{"doubt: Done releases", `case a.m.opt.Done == DoneRelease, to == "", to == inbox:`, `case to == "", to == inbox:`, "done_releases"},
	{"Done releases where nobody is the default", "DoneNothing:\n			case a.m.opt.Done == DoneRelease, to == \"\",", "DoneNothing, to == \"\":\n			case a.m.opt.Done == DoneRelease,", "done_without_a_default_app"},
	{"Done releases where the inbox is the default", `case a.m.opt.Done == DoneRelease, to == "", to == inbox:`, `case a.m.opt.Done == DoneRelease, to == "":`, "done_without_a_default_app"},
	{"Done says so", `a.m.pass(t, to, doneMetadata)`, `a.m.pass(t, to, "")`, "done_passes"},

	// Pass.
	{"the controller passes", `case owner != "" && owner != a.id:`, `case false:`, "pass zero_config"},
	{"anyone passes an idle thread", `case owner != "" && owner != a.id:`, `case owner != a.id:`, "pass zero_config"},
	{"to the default app where none is named", `to = or(to, m.defaultApp)`, `to = or(to, "")`, "pass inline_control"},
	{"to somebody", "	case to == \"\":\n		return \"\", refuse", "	case false:\n		return \"\", refuse", "zero_config"},
	{"to a connected app", `case m.find(to) == nil:`, `case m.find(to) == nil && m.connect(to) == nil:`, "pass"},
	{"not to who has it", `	case owner == to:`, `	case false:`, "pass inline_control"},
	{"it gives control", "	m.give(t, to)\n	if to == m.opt.Inbox", "	if to == m.opt.Inbox", "pass done_passes"},
	{"it tells the new controller", "	m.tell(m.find(to), t, event{\n		kind: messenger.KindPass", "	m.tell(m.us, t, event{\n		kind: messenger.KindPass", "pass standby"},
	{"it tells who had it", `Pass: &control{Previous: m.idOf(from)`, `Pass: &control{Previous: m.idOf(from[:0])`, "pass done_passes"},

	// Take.
	{"take needs a default app", "	case m.defaultApp == \"\":\n		return refuse(code", "	case false:\n		return refuse(code", "zero_config"},
	{"take needs the toggle", `case !a.mayTake && (`, `case false && (`, "take human_agent_takes"},
	{"doubt: the default app takes freely", `(a.id != m.defaultApp || !m.opt.Doubts.DefaultTakesFreely)`, `true`, "take_doubts"},
	{"only the default app takes freely", `(a.id != m.defaultApp || !m.opt.Doubts.DefaultTakesFreely)`, `!m.opt.Doubts.DefaultTakesFreely`, "take_doubts"},
	{"the controller takes nothing", `m.owner(t) == a.id && !m.opt.Doubts.RetakeSucceeds:`, `false:`, "take"},
	{"doubt: the controller takes again", `m.owner(t) == a.id && !m.opt.Doubts.RetakeSucceeds:`, `m.owner(t) == a.id:`, "take_doubts"},
	{"doubt: the code of a refusal", `code := m.opt.Doubts.TakeRefusal`, `code := 27`, "take_doubts"},
	{"only who lost it is told", `if a.id != from && m.opt.Doubts.TakeTold != TakeToldAll {`, `if false {`, "take agent_moves_to_main"},
	{"doubt: everybody is told", `if a.id != from && m.opt.Doubts.TakeTold != TakeToldAll {`, `if a.id != from {`, "take_doubts"},
	{"a renewal is told to nobody", `if from == by {`, `if false {`, "take_doubts"},
	{"it gives control", "	from := m.owner(t)\n	m.give(t, by)", "	from := m.owner(t)", "take agent_replies"},

	// Release, extend, request, thread_owner.
	{"the controller releases", "	if m.owner(t) != a.id {\n		return refuse(100, 0, \"(#100) Only", "	if false {\n		return refuse(100, 0, \"(#100) Only", "release"},
	{"the thread is idle then", "can release\")\n	}\n	m.give(t, \"\")", "can release\")\n	}", "release"},
	{"the controller extends", "	case m.owner(t) != a.id:\n		return refuse(100, 0, \"(#100) calling", "	case false:\n		return refuse(100, 0, \"(#100) calling", "extend"},
	{"for something", `seconds < 1 || seconds > longest`, `seconds > longest`, "extend"},
	{"for 7 days at most", `seconds < 1 || seconds > longest`, `seconds < 1`, "extend"},
	{"from now", `day, m.now().Add(time.Duration(seconds)*time.Second)`, `day, t.until.Add(time.Duration(seconds)*time.Second)`, "extend"},
	{"request needs zero-config", "	case m.defaultApp != \"\":\n		return refuse(100, 0, \"(#100) request", "	case false:\n		return refuse(100, 0, \"(#100) request", "request"},
	{"not by who has it", "	case owner == a.id:\n		return refuse(100, 0, \"(#100) calling app is already", "	case false:\n		return refuse(100, 0, \"(#100) calling app is already", "request zero_config"},
	{"an idle thread is given at once", "	case owner == \"\":\n		m.pass(t, a.id, metadata)", "	case owner == \"\":", "request zero_config"},
	{"the controller is asked", "m.tell(m.find(owner), t, event{", "m.tell(m.us, t, event{", "request"},
	{"the controller and the default app see who", `c.app.id == owner || c.app.id == m.defaultApp`, `c.app.id == owner`, "thread_owner"},
	{"others see until when only", `c.app.id == owner || c.app.id == m.defaultApp`, `true`, "thread_owner"},
	{"nobody sees anything of an idle thread", `if owner := m.owner(t); owner != "" {`, `if owner := t.owner; owner != "" || t.acted.IsZero() {`, "thread_owner"},
	{"the feature status tells of routing", `"msgr_multi_app": m.defaultApp != ""`, `"msgr_multi_app": true`, "feature_status"},

	{"conversations tell who has control", `out[f.name] = m.owner(t) == c.app.id`, `out[f.name] = true`, "conversations"},
	{"nobody has an idle one", `out[f.name] = m.owner(t) == c.app.id`, `out[f.name] = m.leads(t, c.app)`, "conversations"},

	// Control inside a message.
	{"inline control needs a default app", "	case m.defaultApp == \"\":\n		return nil, bad(\"thread_control", "	case false:\n		return nil, bad(\"thread_control", "inline_control zero_config"},
	{"without a type it releases", `case s.Type == "" || s.Type == "release":`, `case s.Type == "release":`, "inline_control"},
	{"it releases or passes", `	case s.Type != "pass":`, `	case false:`, "inline_control"},
	{"it is applied after the words", "	line, answer := m.say(t, s.line, s.attachment)\n	m.appSent(t, c.app)\n	control()", "	control()\n	line, answer := m.say(t, s.line, s.attachment)\n	m.appSent(t, c.app)", "inline_control standby"},
	{"human agents take", `tag == tagHumanAgent && m.mayTake(t, a) == nil`, `false`, "human_agent_takes"},
	{"where they may", `tag == tagHumanAgent && m.mayTake(t, a) == nil`, `tag == tagHumanAgent`, "human_agent_takes"},
	{"only by the tag", `tag == tagHumanAgent && m.mayTake(t, a) == nil`, `m.mayTake(t, a) == nil`, "inline_control agent_replies"},
	{"they have 7 days", "	case tag == tagHumanAgent:\n		return maxExtension, nil", "	case tag == tagHumanAgent:\n		return day, nil", "human_agent_takes"},

	// Ways into a thread.
	{"a link gives its app the thread", `came.to = c.m.links[ref]`, `came.to = ""`, "link_routing link_routing_from_idle_only"},
	{"only with a default app", "	if c.m.defaultApp != \"\" {\n		came.to", "	if true {\n		came.to", "link_routing_from_idle_only"},
	{"doubt: only from idle", `(idle || !m.opt.Doubts.EntryNeedsIdle)`, `true`, "link_routing_from_idle_only"},
	{"not from idle only", `(idle || !m.opt.Doubts.EntryNeedsIdle)`, `idle`, "link_routing ad_routing ad_routing_doubt"},
	{"once", `came.to = "" // once`, `_ = 0`, "ad_routing"},
	{"social routing gives fresh threads", `case idle && m.social != "" && m.defaultApp != "" && !t.open(m.now(), day):`, `case false:`, "social_routing"},
	{"idle ones", `case idle && m.social != ""`, `case m.social != ""`, "social_routing"},
	{"only with a default app", `m.social != "" && m.defaultApp != "" &&`, `m.social != "" &&`, "social_routing"},
	{"after a day", `&& !t.open(m.now(), day):`, `:`, "social_routing"},
	{"an ad's app controls for days", `days < 1 || days > m.opt.Doubts.AdDays`, `true`, "ad_routing ad_routing_doubt lead_ads"},
	{"not for longer than Meta lets it", `days < 1 || days > m.opt.Doubts.AdDays`, `days < 1`, "ad_routing ad_routing_doubt"},
	{"an ad that says nothing gives a day", `days < 1 || days > m.opt.Doubts.AdDays`, `days > m.opt.Doubts.AdDays`, "ad_routing"},
	{"a change of control gives a day", `t.owner, t.span, t.until = to, d, m.now().Add(d)`, `t.owner, t.span, t.until = to, max(d, t.span), m.now().Add(d)`, "ad_routing"},
	{"links are told before the message", `came.Source != sourceAd {`, `false {`, "link_routing"},

	// The lead app and Meta's AI.
	{"the lead app takes the thread", `c.m.give(c.t, messenger.LeadGen)`, `c.m.give(c.t, "")`, "lead_ads"},
	{"nobody sends meanwhile", "	case m.filling(t):\n		return refuse", "	case false:\n		return refuse", "lead_ads"},
	{"nobody hears meanwhile", "	if m.filling(t) {\n		return // while", "	if false {\n		return // while", "lead_ads"},
	{"what she writes are answers", `	if c.m.filling(c.t) {
		c.m.asks`, `	if false {
		c.m.asks`, "lead_ads"},
	{"then it passes", "	m.pass(t, ad.App, how)\n", "	m.give(t, ad.App)\n", "lead_ads"},
	{"or lets the thread fall idle", "	if ad.App == \"\" {\n		m.give(t, \"\")", "	if ad.App == \"\" {\n		m.give(t, m.defaultApp)", "lead_ads"},
	{"for as long as the ad says", `	t.span = m.adSpan(ad.Days)`, `	t.span = day`, "lead_ads"},
	{"it says whether she has answered", `	leadIncomplete = "messenger_lead_gen_incomplete"`, `	leadIncomplete = "messenger_lead_gen_complete "`, "lead_ads"},
	{"the summary is of whole forms", `if ad.Summary && how == leadComplete {`, `if false {`, "lead_ads"},
	{"nobody is told of the AI", `times = m.opt.Doubts.AITakeTold`, `times = 1`, "meta_ai"},
	{"doubt: the AI is told four times", `times = m.opt.Doubts.AITakeTold`, `times = 0`, "meta_ai_doubts"},
	{"in seconds", `inSeconds: byAI,`, ``, "meta_ai_doubts"},
	{"its entries are marked", `	case m.owner(t) == messenger.BusinessAI:`, `	case false:`, "meta_ai"},
	{"its echoes are marked", `AIGenerated: l.App == messenger.BusinessAI,`, ``, "meta_ai"},
	{"doubt: they come on messaging", `said.AIGenerated && m.opt.Doubts.AIEchoOnMessaging`, `false`, "meta_ai_doubts"},
	{"notices are no words of hers", `Text: text, AdminText: text`, `Text: text`, "meta_ai"},

	// What goes wrong.
	{"failures happen", `a.Failure.Chance > 0 && m.rng.Float64() >= a.Failure.Chance {`, `true {`, "failures"},
}

const sources = ".."

// Each mutant changes one place, and there is one for each scene.
func TestMutantsAreUpToDate(t *testing.T) {
	t.Parallel()
	code := readSources(t)
	named := map[string]bool{}
	for _, m := range mutants {
		if file, n := m.file(code); n != 1 || m.old == m.new {
			t.Errorf("%s: %q stands %d times in the sources (%s), want once, and changed", m.rule, m.old, n, file)
		}
		for name := range strings.FieldsSeq(m.scenes) {
			named[name] = true
			if _, err := os.Stat(filepath.Join(scenes, name+".txt")); err != nil {
				t.Errorf("%s: %v", m.rule, err)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(scenes, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".txt"); !named[name] {
			t.Errorf("no mutant fails scene %s: does it hold a rule?", name)
		}
	}
}

// readSources returns the simulator's sources by their names.
func readSources(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(sources, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	code := map[string]string{}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		code[f] = string(b)
	}
	return code
}

// file returns where old stands, and how often it stands anywhere.
func (m mutant) file(code map[string]string) (file string, n int) {
	for f, text := range code {
		if c := strings.Count(text, m.old); c > 0 {
			file, n = f, n+c
		}
	}
	return file, n
}

// Every rule is held by the scenes: without it they fail. It takes minutes, so it
// is run by USHER_TEST_FULL=1, or `make mutants`.
func TestMutantsFail(t *testing.T) { //nolint:tparallel // one after the other: each build takes the whole machine
	t.Parallel()
	if os.Getenv("USHER_TEST_FULL") == "" {
		t.Skip("set USHER_TEST_FULL=1 to build and run each mutant")
	}
	code := readSources(t)
	dir := t.TempDir()
	for i, m := range mutants { //nolint:paralleltest // see above
		t.Run(fmt.Sprintf("%02d %s", i, m.rule), func(t *testing.T) {
			file, _ := m.file(code)
			out := runMutant(t, dir, file, strings.Replace(code[file], m.old, m.new, 1))
			if strings.Contains(out, "panic:") {
				t.Errorf("the mutant panics instead of doing otherwise:\n%s", out)
			}
			for name := range strings.FieldsSeq(m.scenes) {
				if !strings.Contains(out, "--- FAIL: TestScenes/"+name+" ") {
					t.Errorf("survives in %s; %s", name, strings.Join(strings.Fields(out), " "))
				}
			}
		})
	}
}

// runMutant builds the scenes' test with a file changed, and plays the scenes.
func runMutant(t *testing.T, dir, file, text string) string {
	t.Helper()
	absolute, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	changed, overlay, binary := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mutant.test")
	b, err := json.Marshal(map[string]map[string]string{"Replace": {absolute: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{changed: []byte(text), overlay: b} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the mutant does not build: %v\n%s", err, out)
	}
	run := exec.CommandContext(t.Context(), binary, "-test.timeout", "1m", "-test.run", "^TestScenes$")
	out, err := run.CombinedOutput()
	if err == nil {
		return "all scenes pass"
	}
	return string(out)
}
