package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

const complete = `
messenger: {app_id: 1111, app_secret: s, verify_token: v, pages: [{id: 2222, access_token: t}]}
`

func loadText(t *testing.T, text string, env map[string]string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "usher.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path, func(name string) (string, bool) {
		s, ok := env[name]
		return s, ok
	})
}

// all returns every setting's value as text, by path.
func all(c *Config) map[string]string {
	values := map[string]string{}
	for _, s := range settings(reflect.ValueOf(c).Elem(), "") {
		v := s.field.Interface()
		switch secret := v.(type) {
		case Secret:
			v = secret.Reveal()
		case []Secret:
			v = fmt.Sprintf("%d %s", len(secret), secret[0].Reveal())
		}
		values[s.path] = fmt.Sprint(v)
	}
	return values
}

// Every setting can come from the environment, and changes nothing else.
func TestEveryVariable(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ env, want string }{
		"listen":                                   {":1", ":1"},
		"private_listen":                           {"127.0.0.1:2", "127.0.0.1:2"},
		"private_token":                            {"0123456789abcdef", "0123456789abcdef"},
		"redis.url":                                {"redis://h/1", "redis://h/1"},
		"redis.password":                           {"p", "p"},
		"redis.prefix":                             {"x", "x"},
		"redis.durability":                         {"strict", "strict"},
		"redis.replicas":                           {"2", "2"},
		"redis.wait_timeout":                       {"2s", "2s"},
		"redis.data":                               {"/d", "/d"},
		"redis.retention":                          {"7d", "168h0m0s"},
		"partitions.count":                         {"8", "8"},
		"partitions.lease":                         {"30s", "30s"},
		"partitions.renew":                         {"6s", "6s"},
		"partitions.margin":                        {"3s", "3s"},
		"outbox.call_timeout":                      {"4s", "4s"},
		"outbox.echo_grace":                        {"3s", "3s"},
		"outbox.parallel":                          {"9", "9"},
		"outbox.attempts":                          {"3", "3"},
		"outbox.send_rate":                         {"300", "300"},
		"outbox.answer_within":                     {"1h", "1h0m0s"},
		"watch.every":                              {"2m", "2m0s"},
		"watch.silence":                            {"0", "0s"},
		"watch.backfill":                           {"false", "false"},
		"stop_timeout":                             {"20s", "20s"},
		"messenger.app_id":                         {"3", "3"},
		"messenger.app_secret":                     {"new,old", "2 new"},
		"messenger.verify_token":                   {"w", "w"},
		"messenger.graph_url":                      {"http://localhost:1", "http://localhost:1"},
		"messenger.graph_version":                  {"v25.0", "v25.0"},
		"messenger.routing":                        {"zero_config", "zero_config"},
		"messenger.ignore_apps":                    {"5, 6", "[5 6]"},
		"messenger.pages[0].id":                    {"7", "7"},
		"messenger.pages[0].name":                  {"Shop", "Shop"},
		"messenger.pages[0].access_token":          {"u", "u"},
		"handover.target":                          {"8", "8"},
		"handover.targets":                         {"A=9", "map[A:9]"},
		"handover.time_limit.after":                {"0", "0s"},
		"handover.time_limit.from":                 {"handoff", "handoff"},
		"handover.reopen":                          {"4d", "96h0m0s"},
		"handover.talk_to_human.button":            {"Person", "Person"},
		"handover.talk_to_human.keywords":          {"person, help me", "[person help me]"},
		"handover.talk_to_human.misunderstandings": {"0", "0"},
		"handover.talk_to_human.requests":          {"false", "false"},
		"handover.talk_to_human.menu":              {"false", "false"},
		"handover.back_to_bot.button":              {"Bot", "Bot"},
		"handover.back_to_bot.keywords":            {"robot", "[robot]"},
		"handover.back_to_bot.menu":                {"false", "false"},
		"handover.messages.handoff":                {"a, b", "map[:a, b]"},
		"handover.messages.back":                   {"b", "map[:b]"},
		"handover.messages.failed":                 {"c", "map[:c]"},
		"handover.messages.disclosure":             {"d", "map[:d]"},
		"handover.messages.reopened":               {"e", "map[:e]"},
		"bot.script":                               {"/b.yaml", "/b.yaml"},
		"log.level":                                {"debug", "debug"},
		"log.format":                               {"json", "json"},
		"telemetry.otlp_endpoint":                  {"http://c:4318", "http://c:4318"},
		"telemetry.sample":                         {"5", "5"},
	}
	c, err := loadText(t, complete, nil)
	if err != nil {
		t.Fatal(err)
	}
	for path := range all(&c) {
		if _, ok := tests[path]; !ok {
			t.Errorf("%s is not tested", path)
		}
	}
	for path, tt := range tests {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			c, err := loadText(t, complete+"redis: {data: /x}\nbot: {script: /y}\n", map[string]string{variable(path): tt.env})
			if err != nil {
				t.Fatal(err)
			}
			base, err := loadText(t, complete+"redis: {data: /x}\nbot: {script: /y}\n", nil)
			if err != nil {
				t.Fatal(err)
			}
			want := all(&base)
			if want[path] == tt.want {
				t.Fatalf("%s is the default: the test cannot fail", tt.want)
			}
			want[path] = tt.want
			for p, got := range all(&c) {
				if got != want[p] {
					t.Errorf("%s = %s, want %s", p, got, want[p])
				}
			}
		})
	}
}

func TestVariableNames(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"listen": "USHER_LISTEN", "redis.wait_timeout": "USHER_REDIS_WAIT_TIMEOUT", "messenger.app_secret_file": "USHER_MESSENGER_APP_SECRET_FILE",
		"messenger.pages[12].access_token": "USHER_MESSENGER_PAGES_12_ACCESS_TOKEN",
	} {
		if got := variable(path); got != want {
			t.Errorf("variable(%s) = %s, want %s", path, got, want)
		}
	}
}

// Every setting stands in the starter file, those left out with a # before them,
// and the file says the defaults.
func TestStarterIsTheReference(t *testing.T) {
	t.Parallel()
	text := regexp.MustCompile(`(?m)^( *)#((?: {2})?[a-z_]+:(?: |$))`).ReplaceAllString(string(StarterSettings()), "$1$2")
	text = strings.NewReplacer(
		`app_id: "change-me"`, "app_id: 1111", `- id: "change-me"`, "- id: 2222", "change-me", "x",
	).Replace(text)
	l := newLoader("usher.yaml", nil)
	l.readFile([]byte(text))
	for _, f := range l.faults {
		t.Error(f)
	}
	got, err := loadText(t, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := loadText(t, complete, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "{after: 12h, from: agent}") {
		t.Error("handover.time_limit.from is not in the starter file")
	}
	wants := all(&want)
	for _, s := range settings(reflect.ValueOf(&got).Elem(), "") {
		if _, ok := l.file[s.path]; !ok && s.path != "handover.time_limit.from" {
			t.Errorf("%s is not in the starter file", s.path)
		}
		_, hasDefault := s.tag.Lookup("default")
		if value := all(&got)[s.path]; hasDefault && s.path != "redis.data" && s.path != "bot.script" && value != wants[s.path] {
			t.Errorf("%s: the starter file says %s, the default is %s", s.path, value, wants[s.path])
		}
	}
}

// No field is of a type that cannot be set.
func TestEveryTypeCanBeSet(t *testing.T) {
	t.Parallel()
	c := Config{Messenger: Messenger{Pages: make([]Page, 1)}}
	for _, s := range settings(reflect.ValueOf(&c).Elem(), "") {
		if complaint, _ := assign(s.field, value{text: "x"}); strings.HasPrefix(complaint, "cannot be set") {
			t.Errorf("%s: %s", s.path, complaint)
		}
	}
}
