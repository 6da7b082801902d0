package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/bot"
	"usher/config"
	"usher/messenger/graph"
	"usher/messenger/simulator"
)

// A dry run shows the difference and changes nothing; the run makes it; a second
// run finds nothing to do. What others added stays.
func TestSetup(t *testing.T) {
	t.Parallel()
	meta, graphURL := newTestMeta(t, simulator.Options{Fields: []string{"messages", "message_edits"}})
	w := newWorldOn(t, "127.0.0.1:1", graphURL) // Redis is not asked
	client, err := graph.New(graph.Options{Page: testPage, Token: testToken, AppSecret: testSecret, BaseURL: graphURL})
	if err != nil {
		t.Fatal(err)
	}
	state := func() (graph.MessengerProfile, []string) {
		p, err := client.MessengerProfile(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		subscribed, _ := meta.Subscribed(testApp)
		return p, subscribed
	}
	setup := func(args ...string) string {
		code, out, errs := exec(t, w.env, append([]string{"setup", "--config", w.config}, args...)...)
		if code != 0 {
			t.Fatalf("usher setup %v exits %d: %s", args, code, errs)
		}
		return out
	}

	dry := setup("--dry-run")
	for _, want := range []string{
		"Page " + testPage + " (My Page)\n", "+ subscriptions (would): messaging_postbacks, messaging_handovers, standby",
		"+ get started (would): GET_STARTED", "+ greeting (would): default: Ask us anything.", "= ice breakers: left as it is: –",
		"+ persistent menu (would): default: Opening hours [RULE:hours] · Where are you? [RULE:place] · " +
			"Talk to a human [USHER_HANDOFF_MENU] · Back to bot [USHER_BACK_MENU]\n",
	} {
		if !strings.Contains(dry, want) {
			t.Errorf("usher setup --dry-run lacks %q:\n%s", want, dry)
		}
	}
	if p, subscribed := state(); p.GetStarted != nil || len(subscribed) != 2 {
		t.Fatalf("a dry run left %+v and %v", p, subscribed)
	}

	if out := setup(); strings.Contains(out, "would") {
		t.Errorf("usher setup says what it would do:\n%s", out)
	}
	p, subscribed := state()
	if !slices.Contains(subscribed, "message_edits") || len(without(fields, subscribed)) > 0 {
		t.Errorf("subscribed to %v, want all of ours and message_edits", subscribed)
	}
	if got := menus(p); !strings.HasSuffix(got, "Back to bot [USHER_BACK_MENU]") || started(p) != "GET_STARTED" || !strings.HasPrefix(greetings(p), "default: Ask") {
		t.Errorf("the messenger profile is %+v", p)
	}

	again := setup("--dry-run")
	if strings.Contains(again, "+") {
		t.Errorf("a second run finds something to do:\n%s", again)
	}
}

// Somebody else's greeting is shown when it is replaced, and kept where we have none.
func TestSetupTellsWhatWas(t *testing.T) {
	t.Parallel()
	_, graphURL := newTestMeta(t, simulator.Options{})
	client, err := graph.New(graph.Options{Page: testPage, Token: testToken, AppSecret: testSecret, BaseURL: graphURL})
	if err != nil {
		t.Fatal(err)
	}
	before := graph.MessengerProfile{
		Greeting:    []graph.Greeting{{Locale: "default", Text: "Old words"}},
		IceBreakers: []graph.IceBreakers{{Locale: "default", Questions: []graph.IceBreaker{{Question: "Open?", Payload: "X"}}}},
	}
	if err := client.SetMessengerProfile(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	w := newWorldOn(t, "127.0.0.1:1", graphURL)
	code, out, errs := exec(t, w.env, "setup", "--config", w.config)
	if code != 0 {
		t.Fatalf("usher setup exits %d: %s", code, errs)
	}
	for _, want := range []string{"+ greeting: default: Ask us", "was: default: Old words\n", "= ice breakers: left as it is: default: Open? [X]\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("usher setup lacks %q:\n%s", want, out)
		}
	}
}

// Each Page is tried, and each failure told.
func TestSetupFails(t *testing.T) {
	t.Parallel()
	_, graphURL := newTestMeta(t, simulator.Options{})
	w := newWorldOn(t, "127.0.0.1:1", graphURL)
	w.env["USHER_MESSENGER_PAGES_0_ACCESS_TOKEN"] = "EAAB-not-good"
	code, out, errs := exec(t, w.env, "setup", "--config", w.config)
	if code != exitFailed || !strings.Contains(errs, "Page "+testPage+" (My Page): read the subscriptions") || !strings.Contains(errs, "190") {
		t.Errorf("usher setup exits %d: %s", code, errs)
	}
	if strings.Contains(out+errs, "EAAB") {
		t.Errorf("usher setup prints the token: %s", errs)
	}
}

// A language without a country stands for all that Meta has of it; the script's
// default is everybody's.
func TestProfileLocales(t *testing.T) {
	t.Parallel()
	script, err := bot.Load("bot.yaml", []byte(`version: 1
greeting: {keywords: [hello], say: Hi}
fallback: {say: Sorry}
profile: {greeting: {en: Hello, de: Hallo, ar: مرحبا, pt: Olá, pt_BR: Oi}}
`))
	if err != nil {
		t.Fatal(err)
	}
	cfg, _, err := demoSettings()
	if err != nil {
		t.Fatal(err)
	}
	got := profileOf(cfg, config.Page{Name: "Shop"}, script)
	texts := map[string]string{}
	for _, g := range got.Greeting {
		texts[g.Locale] = g.Text
	}
	want := map[string]string{"default": "Hello", "de_DE": "Hallo", "ar_AR": "مرحبا", "pt_BR": "Oi", "pt_PT": "Olá"}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("greetings (-want +got):\n%s", diff)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}
