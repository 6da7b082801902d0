package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"usher/messenger"
	"usher/messenger/simulator"
)

// canaries are texts that occur nowhere else, by what they are.
type canaries map[string]string

func (c canaries) draw(what string) string {
	c[what] = "canary-" + strings.ReplaceAll(what, " ", "-") + "-" + rand.Text()
	return c[what]
}

// in returns what occurs in a text.
func (c canaries) in(text string) (found []string) {
	for what, canary := range c {
		if strings.Contains(text, canary) {
			found = append(found, what)
		}
	}
	return found
}

// Secrets, names, words and ids of people reach neither the log, at any level, nor
// figures, traces, nor answers to who may not know them. In Redis names and words stay as long as a reply needs them, and never in history.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	secrets, words := canaries{}, canaries{}
	const psid = messenger.PSID("7123456789012345")
	meta, err := simulator.New(simulator.Options{
		App: testApp, AppSecret: secrets.draw("app secret"), VerifyToken: secrets.draw("verify token"), PageToken: secrets.draw("page token"),
		Page: testPage, CheckProof: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, serveMeta(t, meta))
	w.env["USHER_LOG_LEVEL"] = "trace"
	w.env["USHER_MESSENGER_APP_SECRET"] = secrets["app secret"]
	w.env["USHER_MESSENGER_VERIFY_TOKEN"] = secrets["verify token"]
	w.env["USHER_MESSENGER_PAGES_0_ACCESS_TOKEN"] = secrets["page token"]
	w.env["USHER_PRIVATE_TOKEN"] = secrets.draw("private token")
	c := newCollector(t)
	w.env["USHER_TELEMETRY_OTLP_ENDPOINT"] = c.URL
	callByName(t, filepath.Join(filepath.Dir(w.config), "bot.yaml"))
	r := w.serve(t)
	meta.ListenAt(r.url + "/webhook")
	m := &metaWorld{world: w, replica: r, meta: meta}
	her, agent := meta.Customer(psid).Named(words.draw("first name"), words.draw("last name")), meta.Agent()
	said := func(what string) string { return words.draw(what) + " and more" }

	// A conversation in which much goes wrong.
	if err := meta.VerifyWebhook(t.Context()); err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{} // what was answered, by what was asked
	ask := func(what, url string, header http.Header, want int) {
		t.Helper()
		status, body := get(t, url, header)
		if shown[what] = body; status != want {
			t.Errorf("%s is answered %d, want %d", what, status, want)
		}
	}
	mayKnow := http.Header{"Authorization": {"Bearer " + secrets["private token"]}}
	ask("a wrong verify token", r.url+"/webhook?hub.mode=subscribe&hub.challenge=1&hub.verify_token="+secrets.draw("wrong verify token"), nil, http.StatusForbidden)
	ask("a wrong private token", r.private+"/debug/pprof/", http.Header{"Authorization": {"Bearer " + secrets.draw("wrong private token")}}, http.StatusUnauthorized)
	ask("a page that is not there", r.url+"/"+words.draw("path"), nil, http.StatusNotFound)
	forged := live(says(psid, "m_forged", said("forged text")))
	if status := r.postSigned(t, forged, http.Header{"X-Hub-Signature-256": {"sha256=" + hmacHex(secrets.draw("wrong secret"), forged)}}); status != http.StatusUnauthorized {
		t.Errorf("a forged delivery is answered %d, want 401", status)
	}
	odd := bodyOf(item{"id": testPage, "time": 1, "surprises": []item{eventOf(psid, "surprise", item{"text": said("unknown event")})}})
	notJSON := []byte(`{"entry": ` + said("broken delivery"))
	for _, body := range [][]byte{odd, notJSON} {
		if status := r.postSigned(t, body, http.Header{"X-Hub-Signature-256": {"sha256=" + hmacHex(secrets["app secret"], body)}}); status != http.StatusOK {
			t.Errorf("a strange delivery is answered %d, want 200", status)
		}
	}

	// While a call is held there are words in Redis: what waits to be said and to
	// be decided, and what Meta told of her.
	answer := make(chan struct{})
	meta.FailNext(simulator.EdgeMessages, simulator.Failure{Hold: answer, PSID: psid})
	must(t)(her.Says("hello " + said("first text")))
	eventually(t, "the greeting waits", func() bool { return words.in(m.dumpOf(t, "ob")) != nil })
	m.wantWordsOnlyWhereNeeded(t, words)
	close(answer)
	m.settle(t)
	if lines := meta.Transcript(psid); !strings.Contains(lines[len(lines)-1].Text, words["first name"]) {
		t.Errorf("she is answered %q, want her name in it: this test tests nothing", lines[len(lines)-1].Text)
	}
	m.wantWordsOnlyWhereNeeded(t, words)

	// Meta quotes what it refuses, and whom: to an outcome that is foreseen, and to
	// one that is not.
	for _, code := range []int{100, 551, 12345} {
		meta.FailNext(simulator.EdgeMessages, simulator.Failure{Code: code, Message: "Hello " + words["first name"] + "! This is not for us", PSID: psid})
		must(t)(her.Says("hello"))
		m.settle(t)
		meta.FailNext(simulator.EdgeMessages, simulator.Failure{Code: code, Message: "Object with ID '" + string(psid) + "' does not exist", PSID: psid})
		must(t)(her.Says(said("text of " + strconv.Itoa(code))))
		m.settle(t)
	}
	meta.FailNext(simulator.EdgeMessages, simulator.Failure{Code: 2, PSID: psid})
	must(t)(her.Says("human"))
	m.settle(t)
	must(t)(her.Says(said("text on standby")))
	must(t)(agent.Replies(psid, said("agent's text")))
	m.settle(t)
	meta.FailNext(simulator.EdgeTake, simulator.Failure{Code: 1, Message: "(#1) no: " + secrets["page token"], PSID: psid})
	must(t)(her.TapsButton("Back to bot"))
	m.settle(t)
	w.usher(t, "thread", "pass", string(psid))
	m.settle(t)
	if err := agent.Done(psid); err != nil {
		t.Fatal(err)
	}
	m.settle(t)
	m.wantWordsOnlyWhereNeeded(t, words)
	story := w.story(t, psid)
	if found := words.in(story); found != nil {
		t.Errorf("thread show tells %q:\n%s", found, story)
	}
	wantStory(t, story, `human → bot`)

	// Everything that Meta can deliver, and what no version of ours can read.
	const stranger = messenger.PSID("7123456789012346")
	for _, body := range everyDelivery(t, stranger, words.draw("text of all kinds")) {
		if status := r.postSigned(t, body, http.Header{"X-Hub-Signature-256": {"sha256=" + hmacHex(secrets["app secret"], body)}}); status != http.StatusOK {
			t.Errorf("%s is answered %d, want 200", body, status)
		}
	}
	for kind, body := range map[string]string{
		"e": `{"id":"x","kind":"message","thread":{"page":"` + testPage + `","psid":"` + string(stranger) + `"},"at":"` + words.draw("poison event") + `"}`,
		"c": `{"command":"` + words.draw("poison command") + `", "thread":7}`,
	} {
		if err := w.rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: "usher:{p7}:in", Values: []string{"k", kind, "b", body}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	must(t)(her.Says(said("last text"))) // wakes all
	m.settle(t)
	eventually(t, "the poison is set aside", func() bool { return strings.Contains(w.dumpOf(t, "dlq"), words["poison event"]) })
	ask("how it stands", r.private+"/metrics", mayKnow, http.StatusOK)
	ask("how the Pages stand", r.private+"/pages", mayKnow, http.StatusOK)
	ask("whether all is well", r.url+"/readyz?verbose", nil, http.StatusOK)
	for _, metric := range []string{`usher_events_total{kind="reaction",`, `usher_graph_requests_total{edge="messages",outcome="blocked"`, "usher_buried_total{page=\"other\"} "} {
		if !strings.Contains(shown["how it stands"], metric) {
			t.Errorf("the figures lack %s: this test tests nothing\n%s", metric, shown["how it stands"])
		}
	}

	if code := r.stop(); code != exitOK {
		t.Errorf("usher serve exits %d, want 0", code)
	}
	logs := r.logs.String()
	if !regexp.MustCompile(`"Thread changed hands"`).MatchString(logs) {
		t.Errorf("the log tells nothing of the thread: this test tests nothing\n%s", logs)
	}
	shown["the log"], shown["the traces"] = logs, c.told()
	for _, span := range []string{"receive", "store", "step", "commit", "graph send", "graph take", "graph owner", "blocked"} {
		if !strings.Contains(shown["the traces"], span) {
			t.Errorf("the traces lack %q: this test tests nothing", span)
		}
	}
	secrets["psid"], secrets["stranger"] = string(psid), string(stranger)
	for _, c := range []canaries{secrets, words} {
		for what, text := range shown {
			if found := c.in(text); found != nil {
				t.Errorf("%s tells %q:\n%s", what, found, text)
			}
		}
	}
	delete(secrets, "psid")
	delete(secrets, "stranger")
	for key, content := range w.dump(t) {
		if found := secrets.in(content); found != nil {
			t.Errorf("%s holds %q", key, found)
		}
	}
}

// everyDelivery returns the deliveries in testdata, in which somebody says something
// wherever there is a text.
func everyDelivery(t *testing.T, psid messenger.PSID, text string) (bodies [][]byte) {
	t.Helper()
	files, err := filepath.Glob("../../testdata/webhook/*.json")
	if err != nil || len(files) < 50 {
		t.Fatalf("found %d deliveries, %v", len(files), err)
	}
	for n, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var body any
		d := json.NewDecoder(bytes.NewReader(src))
		d.UseNumber()
		if d.Decode(&body) != nil {
			continue // it is there to be malformed
		}
		out, err := json.Marshal(retold(body, "", psid, text+" of "+strconv.Itoa(n)))
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, out)
	}
	return bodies
}

// retold returns a part of a delivery, at a key, with other people and words. What
// Usher goes by stays.
func retold(part any, key string, psid messenger.PSID, text string) any {
	switch part := part.(type) {
	case map[string]any:
		for k, v := range part {
			part[k] = retold(v, k, psid, text)
		}
	case []any:
		for i, v := range part {
			part[i] = retold(v, key, psid, text)
		}
		return part
	case json.Number:
		return retold(part.String(), key, psid, text)
	case string:
		switch {
		case part == "1001": // the Page of testdata
			return testPage
		case part == "7001": // the customer
			return psid
		case key == "object", key == "type", key == "mid", key == "action", key == "field", strings.Trim(part, "0123456789") == "":
		default:
			return text
		}
	}
	return part
}

// callByName makes the script's greeting use the customer's name.
func callByName(t *testing.T, script string) {
	t.Helper()
	b, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	named := strings.Replace(string(b), "text: Hello! This", `text: "Hello {{first_name|there}}! This`, 1)
	named = strings.Replace(named, "or choose below.", `or choose below."`, 1)
	if err := os.WriteFile(script, []byte(named), 0o600); err != nil {
		t.Fatal(err)
	}
}

// dumpOf returns what is in Redis under keys of one kind: in, ob, t, h and so on.
func (w *world) dumpOf(t *testing.T, kind string) string {
	t.Helper()
	var all []string
	for key, content := range w.dump(t) {
		if kindOf(key) == kind && content != "" {
			all = append(all, content)
		}
	}
	return strings.Join(all, "\n")
}

// kindOf returns which kind of a partition's keys a key is.
func kindOf(key string) string {
	_, kind, _ := strings.Cut(key, "}:")
	kind, _, _ = strings.Cut(kind, ":")
	return kind
}

// wantWordsOnlyWhereNeeded wants nobody's words in Redis but in what waits to be
// decided or said, and of names the one that replies use, in the thread.
func (w *world) wantWordsOnlyWhereNeeded(t *testing.T, words canaries) {
	t.Helper()
	for key, content := range w.dump(t) {
		kind := kindOf(key)
		for _, what := range words.in(content) {
			if kind != "in" && kind != "ob" && (kind != "t" || what != "first name") {
				t.Errorf("%s holds %s: %s", key, what, content)
			}
		}
	}
}
