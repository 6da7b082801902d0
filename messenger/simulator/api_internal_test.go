package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"usher/messenger"
)

const (
	exampleAnn  messenger.PSID  = "7000000000000001"
	exampleApp  messenger.AppID = "1517776481860111"
	exampleDesk messenger.AppID = "2262510160704936"
)

// example is the Page on which the examples of the description are played: a bot
// that may take, a help desk, and Ann, who has been asked something.
func example(t *testing.T, edits ...func(*Options)) *Meta {
	t.Helper()
	opt := Options{
		App: exampleApp, AppSecret: "app-secret", Page: "1000000000000001", PageToken: "page-token", Seed: 1,
		Others: []messenger.AppID{exampleDesk}, AppIDs: AppIDsStrings,
		Clock:   StillClock(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)),
		Webhook: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
	}
	for _, edit := range edits {
		edit(&opt)
	}
	m, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	if _, err := m.Customer(exampleAnn).Named("Ann", "Lee").Speaks("en_US").Says("hello"); err != nil {
		t.Fatal(err)
	}
	settle(t, m)
	if _, err := m.OtherApp(exampleApp).Do(Deed{Does: "sends", Customer: exampleAnn, Text: "A person?", QuickReplies: []string{"Yes"}}); err != nil {
		t.Fatal(err)
	}
	settle(t, m)
	return m
}

func settle(t *testing.T, m *Meta) {
	t.Helper()
	if err := m.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// document is the description, as far as it is checked here.
type document struct {
	Paths      map[string]pathItem `json:"paths"`
	Components struct {
		Parameters map[string]parameter `json:"parameters"`
		Schemas    map[string]schema    `json:"schemas"`
	} `json:"components"`
}

type pathItem struct {
	Parameters []parameter `json:"parameters"`
	Get        *operation  `json:"get"`
	Put        *operation  `json:"put"`
	Post       *operation  `json:"post"`
	Patch      *operation  `json:"patch"`
	Delete     *operation  `json:"delete"`
}

func (p pathItem) operations() map[string]*operation {
	all := map[string]*operation{"GET": p.Get, "PUT": p.Put, "POST": p.Post, "PATCH": p.Patch, "DELETE": p.Delete}
	maps.DeleteFunc(all, func(_ string, o *operation) bool { return o == nil })
	return all
}

type operation struct {
	Parameters []parameter     `json:"parameters"`
	Body       body            `json:"requestBody"`
	Responses  map[string]body `json:"responses"`
}

type body struct {
	Content map[string]struct {
		Schema   schema              `json:"schema"`
		Examples map[string]instance `json:"examples"`
	} `json:"content"`
}

type parameter struct {
	Ref      string              `json:"$ref"`
	Name     string              `json:"name"`
	In       string              `json:"in"`
	Example  any                 `json:"example"`
	Examples map[string]instance `json:"examples"`
}

type instance struct {
	Value any `json:"value"`
}

// schema is as much of JSON Schema as the description uses.
type schema struct {
	Ref        string            `json:"$ref"`
	Type       string            `json:"type"`
	Enum       []any             `json:"enum"`
	Required   []string          `json:"required"`
	Properties map[string]schema `json:"properties"`
	Additional *bool             `json:"additionalProperties"`
	Items      *schema           `json:"items"`
}

func described(t *testing.T) document {
	t.Helper()
	b, err := yaml.YAMLToJSON(OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// check tells where v is not what s says.
func (d document) check(s schema, at string, v any) error {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		s = d.Components.Schemas[name]
	}
	if s.Type == "" && s.Enum == nil {
		return nil // anything
	}
	if s.Enum != nil && !slices.Contains(s.Enum, v) {
		return fmt.Errorf("%s is %v, want one of %v", at, v, s.Enum)
	}
	switch v := v.(type) {
	case map[string]any:
		return d.checkObject(s, at, v)
	case []any:
		for i, e := range v {
			if s.Items == nil {
				return fmt.Errorf("%s is an array of what nothing describes", at)
			}
			if err := d.check(*s.Items, fmt.Sprintf("%s[%d]", at, i), e); err != nil {
				return err
			}
		}
	}
	kinds := map[string]string{"string": "string", "float64": "integer", "bool": "boolean", "[]interface {}": "array"}
	if kind := kinds[fmt.Sprintf("%T", v)]; s.Type != "" && s.Type != kind && (s.Type != "number" || kind != "integer") {
		return fmt.Errorf("%s is a %s, want %s", at, kind, s.Type)
	}
	return nil
}

func (d document) checkObject(s schema, at string, v map[string]any) error {
	if s.Type != "object" {
		return fmt.Errorf("%s is an object, want %s", at, s.Type)
	}
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return fmt.Errorf("%s lacks %s", at, name)
		}
	}
	for name, value := range v {
		property, ok := s.Properties[name]
		if !ok && s.Additional != nil && !*s.Additional {
			return fmt.Errorf("%s has %s, which nothing describes", at, name)
		}
		if err := d.check(property, at+"."+name, value); err != nil {
			return err
		}
	}
	return nil
}

// Every route is described, and what is described is a route.
func TestEveryRouteIsDescribed(t *testing.T) {
	t.Parallel()
	var want []string
	for path, item := range described(t).Paths {
		for method := range item.operations() {
			want = append(want, method+" "+path)
		}
	}
	got := slices.Sorted(maps.Keys(example(t).controls()))
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("described routes and routes (-described +routed):\n%s", diff)
	}
}

// The verbs and the settings that the description names are those there are.
func TestNamesAreDescribed(t *testing.T) {
	t.Parallel()
	schemas := described(t).Components.Schemas
	all := Verbs()
	for name, verbs := range map[string][]Verb{
		"CustomerDeed": all["customer"], "AgentDeed": all["agent"], "AppDeed": all["app"], "AIDeed": all["ai"], "MetaDeed": all["meta"],
	} {
		var want []any
		for _, v := range verbs {
			want = append(want, v.Does)
			for _, field := range append(v.Needs, v.Takes...) {
				if _, ok := schemas[name].Properties[field]; !ok {
					t.Errorf("%s does not describe %s, which %s takes", name, field, v.Does)
				}
			}
		}
		if diff := cmp.Diff(want, schemas[name].Properties["does"].Enum); diff != "" {
			t.Errorf("verbs of %s (-want +described):\n%s", name, diff)
		}
	}
	settings := maps.Clone(schemas["Settings"].Properties)
	maps.Copy(settings, settings["doubts"].Properties)
	delete(settings, "doubts")
	if diff := cmp.Diff(SettingNames(), slices.Sorted(maps.Keys(settings))); diff != "" {
		t.Errorf("settings (-want +described):\n%s", diff)
	}
}

// Every example of the description works: its request is answered with its response.
func TestExamples(t *testing.T) {
	t.Parallel()
	doc := described(t)
	for path, item := range doc.Paths {
		for method, op := range item.operations() {
			played := map[string]bool{}
			for status, response := range op.Responses {
				for name, want := range response.Content["application/json"].Examples {
					played[name] = true
					t.Run(strings.Join([]string{method, path, name}, " "), func(t *testing.T) {
						t.Parallel()
						got := doc.play(t, method, path, append(item.Parameters, op.Parameters...), op.Body, name, status == "200")
						if got.status != status {
							t.Errorf("status = %s, want %s\n%s", got.status, status, got.raw)
						}
						if diff := cmp.Diff(want.Value, got.value); diff != "" {
							t.Errorf("answer (-described +got):\n%s\n%s", diff, got.raw)
						}
						if err := doc.check(response.Content["application/json"].Schema, "answer", got.value); err != nil {
							t.Error(err)
						}
					})
				}
			}
			for name := range op.Body.Content["application/json"].Examples {
				if !played[name] {
					t.Errorf("%s %s: the request %s has no response of that name", method, path, name)
				}
			}
			if len(played) == 0 && op.Responses["200"].Content["application/json"].Examples == nil && path != "/_simulator/verbs" && path != "/_simulator/openapi.yaml" {
				t.Errorf("%s %s has no example", method, path)
			}
		}
	}
}

type played struct {
	status string
	raw    []byte
	value  any
}

// play makes the request of an example, which is as its schema says where it is
// valid.
func (d document) play(t *testing.T, method, path string, params []parameter, body body, name string, valid bool) played {
	t.Helper()
	query := url.Values{}
	for _, p := range params {
		if ref, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
			p = d.Components.Parameters[ref]
		}
		value := p.Example
		if e, ok := p.Examples[name]; ok {
			value = e.Value
		}
		switch {
		case value == nil:
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", fmt.Sprint(value))
		default:
			query.Set(p.Name, fmt.Sprint(value))
		}
	}
	var raw []byte
	content := body.Content["application/json"]
	if e, ok := content.Examples[name]; ok {
		raw = mustMarshal(e.Value)
		if err := d.check(content.Schema, "request", e.Value); err != nil && valid {
			t.Error(err)
		}
	}
	return ask(t, example(t).Client(), method, "http://simulator.example"+path+"?"+query.Encode(), raw)
}

// ask makes a request with a JSON body.
func ask(t *testing.T, client *http.Client, method, address string, body []byte) played {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return sendTo(t, client, req)
}

func sendTo(t *testing.T, client *http.Client, req *http.Request) played {
	t.Helper()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.Body.Close() != nil {
		t.Fatal(err)
	}
	out := played{status: strconv.Itoa(res.StatusCode), raw: raw}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(raw, &out.value); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
	return out
}
