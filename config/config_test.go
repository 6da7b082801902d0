package config_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"usher/bot"
	"usher/config"
	"usher/handover"
	"usher/messenger"
)

var update = flag.Bool("update", false, "rewrite the golden files of this package")

// least is the shortest file that is complete.
const least = `
messenger:
  app_id: 1111
  app_secret: app-canary
  verify_token: verify-canary
  pages: [{id: 2222, access_token: token-canary}]
`

func noEnv(string) (string, bool) { return "", false }

func environ(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		s, ok := pairs[name]
		return s, ok
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, text string, env map[string]string) (config.Config, error) {
	t.Helper()
	return config.Load(write(t, "usher.yaml", text), environ(env))
}

func mustLoad(t *testing.T, text string, env map[string]string) config.Config {
	t.Helper()
	c, err := load(t, text, env)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

// What is not set has its default.
func TestDefaults(t *testing.T) {
	t.Parallel()
	path := write(t, "usher.yaml", least)
	got, err := config.Load(path, noEnv)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	want := config.Config{
		Listen: ":8080", PrivateListen: "127.0.0.1:8081", Watch: config.Watch{Every: 5 * time.Minute, Silence: 10 * time.Minute, Backfill: true},
		StopTimeout: 15 * time.Second,
		Redis: config.Redis{
			URL: "redis://localhost:6379/0", Prefix: "usher", Durability: "standard", Replicas: 1, WaitTimeout: time.Second,
			Data: filepath.Join(filepath.Dir(path), "data"), Retention: 30 * 24 * time.Hour,
			Server: config.Server{Kind: config.Single, Addresses: []string{"localhost:6379"}},
		},
		Partitions: config.Partitions{Count: 64, Lease: 20 * time.Second, Renew: 5 * time.Second, Margin: 2 * time.Second},
		Outbox:     config.Outbox{CallTimeout: 8 * time.Second, EchoGrace: 5 * time.Second, Parallel: 1024, Attempts: 6, SendRate: 80, AnswerWithin: 5 * time.Minute},
		Messenger: config.Messenger{
			AppID: "1111", AppSecret: []config.Secret{"app-canary"}, VerifyToken: "verify-canary",
			GraphURL: "https://graph.facebook.com", GraphVersion: "v26.0", Routing: "default_app",
			Pages: []config.Page{{ID: "2222", AccessToken: "token-canary"}},
		},
		Handover: config.Handover{
			Target: "inbox", TimeLimit: config.TimeLimit{After: 12 * time.Hour, From: "agent"},
			TalkToHuman: config.TalkToHuman{Button: "Talk to a human", Keywords: []string{"human", "agent", "talk to a human"}, Misunderstandings: 3, Requests: true, Menu: true},
			BackToBot:   config.BackToBot{Button: "Back to bot", Keywords: []string{"bot", "back to bot"}, Menu: true},
			Messages: config.Messages{
				Handoff:    config.Text{"": "I'm passing you to a person. They will answer here as soon as they can."},
				Back:       config.Text{"": "You're back with the automated assistant. How can I help?"},
				Failed:     config.Text{"": "Sorry, I could not reach a person just now. I'm still here; please try again in a moment."},
				Disclosure: config.Text{"": "This is the automated assistant again."},
				Reopened:   config.Text{"": "Welcome back. I'm passing you to the person you talked to; they will answer here as soon as they can."},
			},
		},
		Bot: config.Bot{Script: filepath.Join(filepath.Dir(path), "bot.yaml")},
		Log: config.Log{Level: "info", Format: "auto"}, Telemetry: config.Telemetry{Sample: 100},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(config.Config{})); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

// Every way of writing a value means what a reader expects.
func TestValues(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		env  map[string]string
		get  func(config.Config) any
		want any
	}{
		"time_limit_with_from": {
			text: "handover: {time_limit: {after: 2d, from: any}}",
			get:  func(c config.Config) any { return c.Handover.TimeLimit }, want: config.TimeLimit{After: 48 * time.Hour, From: "any"},
		},
		"time_limit_alone": {
			text: "handover: {time_limit: 1d12h}",
			get:  func(c config.Config) any { return c.Handover.TimeLimit }, want: config.TimeLimit{After: 36 * time.Hour, From: "agent"},
		},
		"time_limit_from_the_environment_keeps_from": {
			text: "handover: {time_limit: {after: 2d, from: handoff}}", env: map[string]string{"USHER_HANDOVER_TIME_LIMIT": "30m"},
			get: func(c config.Config) any { return c.Handover.TimeLimit }, want: config.TimeLimit{After: 30 * time.Minute, From: "handoff"},
		},
		"text_alone": {
			text: "handover: {messages: {back: Hello}}",
			get:  func(c config.Config) any { return c.Handover.Messages.Back }, want: config.Text{"": "Hello"},
		},
		"text_by_locale": {
			text: "handover: {messages: {back: {de: Hallo, default: Hello, pt_BR: Olá}}}",
			get:  func(c config.Config) any { return c.Handover.Messages.Back }, want: config.Text{"": "Hello", "de": "Hallo", "pt_BR": "Olá"},
		},
		"first_text_is_for_all_others": {
			text: "handover: {messages: {back: {fr: Bonjour, de: Hallo}}}",
			get:  func(c config.Config) any { return c.Handover.Messages.Back }, want: config.Text{"": "Bonjour", "fr": "Bonjour", "de": "Hallo"},
		},
		"text_over_lines": {
			text: "handover:\n  messages:\n    back: |\n      Hello\n      again",
			get:  func(c config.Config) any { return c.Handover.Messages.Back }, want: config.Text{"": "Hello\nagain"},
		},
		"target_names_keep_case_and_dots": {
			text: "handover: {target: Ésta.Clave, targets: {Ésta.Clave: 333, HELP: 444}}",
			get:  func(c config.Config) any { return []any{c.Handover.Targets, c.Handover.TargetApp()} },
			want: []any{map[string]string{"Ésta.Clave": "333", "HELP": "444"}, "333"},
		},
		"targets_from_the_environment": {
			env:  map[string]string{"USHER_HANDOVER_TARGETS": "Sales=333, Help Desk = 444", "USHER_HANDOVER_TARGET": "Help Desk"},
			get:  func(c config.Config) any { return []any{c.Handover.Targets, c.Handover.TargetApp()} },
			want: []any{map[string]string{"Sales": "333", "Help Desk": "444"}, "444"},
		},
		"target_inbox": {get: func(c config.Config) any { return c.Handover.TargetApp() }, want: string(messenger.PageInbox)},
		"target_id":    {text: "handover: {target: 333}", get: func(c config.Config) any { return c.Handover.TargetApp() }, want: "333"},
		"id_keeps_its_digits": {
			text: "handover: {target: 0092233720368547758079}",
			get:  func(c config.Config) any { return c.Handover.Target }, want: "0092233720368547758079",
		},
		"empty_list":               {text: "handover: {back_to_bot: {keywords: []}}", get: func(c config.Config) any { return c.Handover.BackToBot.Keywords }, want: []string{}},
		"null_is_not_set":          {text: "redis: {prefix: }\nlog: ~", get: func(c config.Config) any { return c.Redis.Prefix + c.Log.Level }, want: "usherinfo"},
		"empty_variable":           {env: map[string]string{"USHER_REDIS_PREFIX": ""}, get: func(c config.Config) any { return c.Redis.Prefix }, want: "usher"},
		"anchor":                   {text: "handover: {talk_to_human: {button: &b Ask}, back_to_bot: {button: *b}}", get: func(c config.Config) any { return c.Handover.BackToBot.Button }, want: "Ask"},
		"byte_order_mark_and_crlf": {text: "\ufefflisten: \":1\"\r\nstop_timeout: 2s\r\n", get: func(c config.Config) any { return c.Listen + c.StopTimeout.String() }, want: ":12s"},
		"slash_is_trimmed":         {text: "redis: {prefix: p}", env: map[string]string{"USHER_MESSENGER_GRAPH_URL": "http://127.0.0.1:9/"}, get: func(c config.Config) any { return c.Messenger.GraphURL }, want: "http://127.0.0.1:9"},
		"retention_outlasts_people": {
			text: "handover: {time_limit: 30d}",
			get:  func(c config.Config) any { return c.Redis.Retention }, want: 31 * 24 * time.Hour,
		},
		"secrets_while_rotating": {
			env: map[string]string{"USHER_MESSENGER_APP_SECRET": "new, old"},
			get: func(c config.Config) any { return len(c.Messenger.AppSecret) }, want: 2,
		},
		"pages_from_the_environment_join_the_file's": {
			env: map[string]string{"USHER_MESSENGER_PAGES_1_ID": "5", "USHER_MESSENGER_PAGES_1_ACCESS_TOKEN": "t", "USHER_MESSENGER_PAGES_0_NAME": "Shop"},
			get: func(c config.Config) any {
				return []string{c.Messenger.Pages[0].ID, c.Messenger.Pages[0].Name, c.Messenger.Pages[1].ID}
			},
			want: []string{"2222", "Shop", "5"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, tt.get(mustLoad(t, tt.text+least, tt.env))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What is wrong with a setting can be said with its place.
func TestWhere(t *testing.T) {
	t.Parallel()
	path := write(t, "usher.yaml", least)
	c, err := config.Load(path, environ(map[string]string{"USHER_REDIS_URL": "redis://h"}))
	if err != nil {
		t.Fatal(err)
	}
	for setting, want := range map[string]string{
		"messenger.app_id": path + ":3:11", "messenger.graph_url": path + ":2:1", "messenger.pages[0].name": path + ":6:11",
		"log.level": path + ":1:1", "redis.url": "USHER_REDIS_URL",
	} {
		if got := c.Where(setting).String(); got != want {
			t.Errorf("Where(%s) = %s, want %s", setting, got, want)
		}
	}
}

// Without a file the environment is enough.
func TestEnvironmentAlone(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"USHER_MESSENGER_APP_ID": "1", "USHER_MESSENGER_APP_SECRET": "a", "USHER_MESSENGER_VERIFY_TOKEN": "v",
		"USHER_MESSENGER_PAGES_0_ID": "2", "USHER_MESSENGER_PAGES_0_ACCESS_TOKEN": "t",
	}
	if _, err := config.Load("", environ(env)); err != nil {
		t.Errorf("Load = %v", err)
	}
	delete(env, "USHER_MESSENGER_APP_ID")
	_, err := config.Load("", environ(env))
	want := "messenger.app_id: missing: copy it from the App Dashboard, App settings > Basic; or set USHER_MESSENGER_APP_ID"
	if err == nil || err.Error() != want {
		t.Errorf("Load = %v, want %s", err, want)
	}
}

// A secret comes from its file, without the line end; the environment beats the
// settings file in either form.
func TestSecretFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"app": "new\r\nold\n", "token": "from file\n", "empty": "\n", "two": "a\nb\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		text  string
		env   map[string]string
		app   []config.Secret
		token config.Secret
		fault string
	}{
		"relative_to_the_settings": {text: "app_secret_file: app", app: []config.Secret{"new", "old"}, token: "plain"},
		"from_the_environment":     {text: "app_secret: x", env: map[string]string{"USHER_MESSENGER_APP_SECRET_FILE": filepath.Join(dir, "app")}, app: []config.Secret{"new", "old"}, token: "plain"},
		"environment_beats_file":   {text: "app_secret_file: app", env: map[string]string{"USHER_MESSENGER_APP_SECRET": "env"}, app: []config.Secret{"env"}, token: "plain"},
		"of_a_page":                {text: "app_secret: x", env: map[string]string{"USHER_MESSENGER_PAGES_0_ACCESS_TOKEN_FILE": "token"}, app: []config.Secret{"x"}, token: "from file"},
		"both_in_the_file":         {text: "app_secret: x, app_secret_file: app", fault: "messenger.app_secret: set twice, also by messenger.app_secret_file"},
		"both_the_other_way_round": {text: "app_secret_file: app, app_secret: x", fault: "messenger.app_secret: set twice, also by messenger.app_secret_file"},
		"both_in_the_environment":  {text: "app_secret: x", env: map[string]string{"USHER_MESSENGER_APP_SECRET": "a", "USHER_MESSENGER_APP_SECRET_FILE": "app"}, fault: "USHER_MESSENGER_APP_SECRET_FILE: messenger.app_secret: set twice, also by USHER_MESSENGER_APP_SECRET"},
		"absent":                   {text: "app_secret_file: none", fault: "none: no such file or directory: name a file"},
		"empty":                    {text: "app_secret_file: empty", fault: "messenger.app_secret_file: " + filepath.Join(dir, "empty") + " is empty"},
		"two_lines_in_one_secret":  {text: "app_secret: x", env: map[string]string{"USHER_MESSENGER_PAGES_0_ACCESS_TOKEN_FILE": "two"}, fault: "has 2 lines"},
		"not_a_name":               {text: "app_secret_file: [app]", fault: "messenger.app_secret_file: wants the name of a file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, name+".yaml")
			text := fmt.Sprintf("messenger: {app_id: 1, verify_token: v, pages: [{id: 2, access_token: plain}], %s}", tt.text)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := config.Load(path, environ(tt.env))
			if tt.fault != "" {
				var faults *config.FaultError
				if !errors.As(err, &faults) || !strings.Contains(err.Error(), tt.fault) || len(faults.Faults) != 1 {
					t.Fatalf("Load = %v, want exactly: %s", err, tt.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(reveal(c.Messenger.AppSecret)) != fmt.Sprint(reveal(tt.app)) || c.Messenger.Pages[0].AccessToken != tt.token {
				t.Errorf("app secret %q, token %q, want %q, %q", reveal(c.Messenger.AppSecret), c.Messenger.Pages[0].AccessToken.Reveal(), reveal(tt.app), tt.token.Reveal())
			}
		})
	}
}

func reveal(secrets []config.Secret) []string {
	var all []string
	for _, s := range secrets {
		all = append(all, s.Reveal())
	}
	return all
}

// Each testdata/faults/*.yaml gives the messages beside it, all at once.
func TestFaults(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/faults/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			env := map[string]string{}
			for line := range strings.Lines(string(src)) { // "# env USHER_X=value"
				if pair, ok := strings.CutPrefix(line, "# env "); ok {
					name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
					env[name] = value
				}
			}
			c, err := config.Load(file, environ(env))
			var got strings.Builder
			for _, w := range c.Warnings {
				fmt.Fprintln(&got, "warning:", w)
			}
			if err != nil {
				fmt.Fprintln(&got, err)
			}
			if ready := c.Ready(); err != nil && ready != nil {
				t.Errorf("placeholders are named twice, again by Ready: %v", ready)
			}
			text := strings.ReplaceAll(filepath.ToSlash(got.String()), "testdata/faults/"+name+".yaml", "usher.yaml")
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), text); diff != "" || text == "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for secret := range strings.FieldsSeq("app-canary verify-canary token-canary redis-canary private-canary") {
				if strings.Contains(text, secret) {
					t.Errorf("the messages show the secret %s:\n%s", secret, text)
				}
			}
		})
	}
}

func TestNoFile(t *testing.T) {
	t.Parallel()
	if _, err := config.Load(filepath.Join(t.TempDir(), "usher.yaml"), noEnv); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load = %v, want fs.ErrNotExist", err)
	}
	if _, err := load(t, strings.Repeat("# long\n", 200_000), nil); err == nil || !strings.Contains(err.Error(), "at most 1024 KiB") {
		t.Errorf("Load of 1.4 MB = %v, want a limit", err)
	}
}

// The starter file is complete but for its placeholders, each of which is named,
// and which the environment can replace.
func TestStarterPlaceholders(t *testing.T) {
	t.Parallel()
	path := write(t, "usher.yaml", string(config.StarterSettings()))
	c, err := config.Load(path, noEnv)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	var got []string
	for _, p := range c.Placeholders {
		got = append(got, p.Path)
	}
	want := []string{"messenger.app_id", "messenger.app_secret", "messenger.verify_token", "messenger.pages[0].id", "messenger.pages[0].access_token"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("placeholders (-want +got):\n%s", diff)
	}
	err = c.Ready()
	for _, p := range want {
		if err == nil || !strings.Contains(err.Error(), path+":") || !strings.Contains(err.Error(), p+": still the placeholder") {
			t.Errorf("Ready = %v, want it to name %s", err, p)
		}
	}
	c, err = config.Load(path, environ(map[string]string{
		"USHER_MESSENGER_APP_ID": "1", "USHER_MESSENGER_APP_SECRET": "a", "USHER_MESSENGER_VERIFY_TOKEN": "v",
		"USHER_MESSENGER_PAGES_0_ID": "2", "USHER_MESSENGER_PAGES_0_ACCESS_TOKEN": "t",
	}))
	if err != nil || c.Ready() != nil || len(c.Warnings) != 0 {
		t.Errorf("with the environment: Load = %v, Ready = %v, warnings %v, want none", err, c.Ready(), c.Warnings)
	}
}

// The starter script answers any text, and greets with one message that offers a
// person.
func TestStarterScript(t *testing.T) {
	t.Parallel()
	script, err := bot.Load("bot.yaml", config.StarterScript())
	if err != nil {
		t.Fatal(err)
	}
	if script.UsesNames() {
		t.Error("the starter script mentions a name, which needs a permission of Meta's")
	}
	tests := map[string]struct {
		turn    bot.Turn
		rule    string
		handoff bool
	}{
		"hello":                    {turn: bot.Turn{Text: "Hello!"}, rule: "greeting"},
		"first_text":               {turn: bot.Turn{Text: "xyzzy", First: true}, rule: "greeting"},
		"get_started":              {turn: bot.Turn{Kind: bot.Postback, Payload: bot.PayloadGetStarted}, rule: "greeting"},
		"later_text":               {turn: bot.Turn{Text: "xyzzy"}, rule: "fallback"},
		"later_text_again":         {turn: bot.Turn{Text: "xyzzy", Misses: 7}, rule: "fallback"},
		"question":                 {turn: bot.Turn{Text: "when do you open?"}, rule: "hours"},
		"asks_for_a_person":        {turn: bot.Turn{Text: "can I speak to someone"}, rule: "person", handoff: true},
		"picture":                  {turn: bot.Turn{Kind: bot.Media, Payload: "image"}, rule: "media_fallback"},
		"quick_reply_of_the_first": {turn: bot.Turn{Kind: bot.QuickReply, Payload: "RULE:place"}, rule: "place"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := script.Reply(tt.turn)
			if got.Rule != tt.rule || got.Handoff != tt.handoff || len(got.Messages) == 0 && !tt.handoff {
				t.Fatalf("Reply = %+v, want an answer of %q, handoff %v", got, tt.rule, tt.handoff)
			}
			if tt.rule != "greeting" && tt.rule != "fallback" {
				return
			}
			offers := slices.ContainsFunc(got.Messages[0].QuickReplies, func(c bot.Choice) bool {
				return c.Title == "Talk to a human" && c.Payload == handover.PayloadHandoff
			})
			if len(got.Messages) != 1 || !offers {
				t.Errorf("Reply = %+v, want one message with the quick reply Talk to a human", got.Messages)
			}
		})
	}
}

// However a secret is printed, nothing of it is seen.
func TestSecretIsHidden(t *testing.T) {
	t.Parallel()
	type holder struct {
		One  config.Secret
		Many []config.Secret
		By   map[string]config.Secret
		Ptr  *config.Secret
	}
	s := config.Secret("canary")
	h := holder{One: s, Many: []config.Secret{s}, By: map[string]config.Secret{"k": s}, Ptr: &s}
	c := mustLoad(t, "redis: {url: 'redis://u:redis-canary@h:1'}\nprivate_token: private-canary-x\n"+least, nil)
	var logged strings.Builder
	log := zerolog.New(&logged)
	log.Info().Any("a", s).Stringer("b", s).Any("c", c).Any("d", []config.Secret{s}).Msg("")
	inJSON, jsonErr := json.Marshal([]any{s, h, c})
	inYAML, yamlErr := yaml.Marshal([]any{s, h, c})
	if jsonErr != nil || yamlErr != nil {
		t.Fatal(jsonErr, yamlErr)
	}
	shown := map[string]string{"log": logged.String(), "json": string(inJSON), "yaml": string(inYAML), "error": fmt.Errorf("x %v", s).Error(), "server": c.Redis.Server.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "% X", "%d", "%10.3s"} {
		shown[verb] = fmt.Sprintf(verb, s) + fmt.Sprintf(verb, &s) + fmt.Sprintf(verb, h) + fmt.Sprintf(verb, &h) + fmt.Sprintf(verb, c) + fmt.Sprintf(verb, c.Redis)
	}
	for how, text := range shown {
		for _, leak := range []string{"canary", "63616e617279", "63 61 6E 61", "99 97 110"} {
			if strings.Contains(text, leak) {
				t.Errorf("%s shows %q: %s", how, leak, text)
			}
		}
	}
	if got := fmt.Sprintf("%v %q %10.3s", s, s, s); got != "… … …" {
		t.Errorf("printed %q, want … … …", got)
	}
	if !strings.HasPrefix(string(inJSON), `["…",`) || s.Reveal() != "canary" {
		t.Errorf("json %.12s, revealed %s, want … and canary", inJSON, s.Reveal())
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	good := map[string]time.Duration{
		"0": 0, "0s": 0, "90s": 90 * time.Second, "30m": 30 * time.Minute, "12h": 12 * time.Hour, "2d": 2 * day,
		"1d12h": 36 * time.Hour, "1d0s": day, "200ms": 200 * time.Millisecond, "1.5h": 90 * time.Minute, "30d": 30 * day,
	}
	for text, want := range good {
		got, err := config.ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
		if again, err := config.ParseDuration(config.FormatDuration(got)); err != nil || again != got {
			t.Errorf("%q is formatted as %q, which reads %v, %v", text, config.FormatDuration(got), again, err)
		}
	}
	for _, bad := range []string{"", "30", "1e3", "-5m", "1d-2h", "1d+2h", "d", "2w", "2 d", "1h1d", "1d1d", "-1d", "106752d", "106751d24h", "999999999999d", "+3d", "∞"} {
		if got, err := config.ParseDuration(bad); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", bad, got)
		}
	}
	for d, want := range map[time.Duration]string{0: "0", 36 * time.Hour: "1d12h", 48 * time.Hour: "2d", 90 * time.Minute: "1h30m", time.Hour: "1h", 20 * time.Second: "20s", time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m"} {
		if got := config.FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestRedisURL(t *testing.T) {
	t.Parallel()
	good := map[string]config.Server{
		"redis://localhost":               {Kind: config.Single, Addresses: []string{"localhost:6379"}},
		"redis://:p%40s@h:1/3":            {Kind: config.Single, Addresses: []string{"h:1"}, DB: 3, Password: "p@s"},
		"rediss://u:a@b@[::1]:7?db=2":     {Kind: config.Single, Addresses: []string{"[::1]:7"}, DB: 2, TLS: true, Username: "u", Password: "a@b"},
		"redis-sentinel://a:1,b/m?db=4":   {Kind: config.Sentinel, Addresses: []string{"a:1", "b:26379"}, Master: "m", DB: 4},
		"rediss-sentinel://a/m":           {Kind: config.Sentinel, Addresses: []string{"a:26379"}, Master: "m", TLS: true},
		"redis-cluster://a:1,b:2,[::1]":   {Kind: config.Cluster, Addresses: []string{"a:1", "b:2", "[::1]:6379"}},
		"rediss-cluster://u:p@a:1":        {Kind: config.Cluster, Addresses: []string{"a:1"}, TLS: true, Username: "u", Password: "p"},
		"embedded":                        {Kind: config.Embedded},
		"redis-sentinel://a:1,b:2/master": {Kind: config.Sentinel, Addresses: []string{"a:1", "b:2"}, Master: "master"},
	}
	for raw, want := range good {
		c := mustLoad(t, "redis: {url: '"+raw+"'}"+least, nil)
		if got := c.Redis.Server; fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) || got.Password != want.Password {
			t.Errorf("%s = %#v (%s), want %#v", raw, got, got.Password.Reveal(), want)
		}
		again := mustLoad(t, "redis: {url: '"+c.Redis.Server.String()+"'}"+least, nil).Redis.Server
		want.Username, want.Password = "", ""
		if diff := cmp.Diff(want, again, cmp.Comparer(func(a, b config.Secret) bool { return a == b })); diff != "" {
			t.Errorf("%s is shown as %s, which reads (-want +got):\n%s", raw, c.Redis.Server, diff)
		}
	}
	for _, bad := range []string{
		"localhost:6379", "http://h", "redis://", "redis://:6379", "redis://a,b", "redis://h:x", "redis://h:70000", "redis://h/x", "redis://h/-1",
		"redis://h/1?db=2", "redis://h?x=1", "redis://u:%zz@h", "redis-sentinel://a:1", "redis-sentinel://a:1/", "redis-cluster://a/1", "redis-cluster://a,,b", "embedded://",
	} {
		if _, err := load(t, "redis: {url: '"+bad+"'}"+least, nil); err == nil || !strings.Contains(err.Error(), "redis.url: ") {
			t.Errorf("%s: Load = %v, want a fault of redis.url", bad, err)
		}
	}
	if c := mustLoad(t, "redis: {url: 'redis://me@h', password: p}"+least, nil); c.Redis.Server.Password != "p" || c.Redis.Server.Username != "me" {
		t.Errorf("password beside the URL: %#v", c.Redis.Server)
	}
}

// FuzzLoad: whatever the file, Load ends, and what it accepts it accepts again.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(least))
	f.Add(config.StarterSettings())
	for _, s := range []string{"a: &a [*a]", "messenger: &m {pages: [*m]}", "\t", "<<: *x", "? {a: b}\n: c", "listen: &x *x", "- a", "redis: {<<: {a: b}}", "a: !!binary x", "{", "handover: {messages: {back: {a: {b: c}}}}", "1: 2", "? \n: 2", "listen: {? [a] : b}"} {
		f.Add([]byte(s))
	}
	files, _ := filepath.Glob("testdata/faults/*.yaml")
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		_, err := load(t, string(src), nil)
		if strings.Contains(fmt.Sprint(err), "cannot be set") {
			t.Error(err)
		}
	})
}
