package simulator

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxCall is the longest request body that is read.
const maxCall = 32 << 20

// params are a call's arguments: from the query, and from a body of JSON or of
// form fields. A form field's JSON is a JSON string here.
type params map[string]json.RawMessage

func readParams(w http.ResponseWriter, r *http.Request) (params, *GraphError) {
	p := params{}
	p.addForm(r.URL.Query())
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCall))
	if err != nil {
		return p, bad("body: %v", err)
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case len(body) == 0:
	case err == nil && kind == "multipart/form-data":
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err := r.ParseMultipartForm(maxCall); err != nil {
			return p, bad("body: %v", err)
		}
		p.addForm(r.MultipartForm.Value)
		if len(r.MultipartForm.File) > 0 {
			p["filedata"] = json.RawMessage(`true`)
		}
	case err == nil && kind == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return p, bad("body: %v", err)
		}
		p.addForm(form)
	default:
		if err := json.Unmarshal(body, &p); err != nil {
			return p, bad("body is not a JSON object: %v", err)
		}
	}
	return p, nil
}

func (p params) addForm(form url.Values) {
	for key, values := range form {
		if b, err := json.Marshal(values[0]); err == nil { // a string always can be
			p[key] = b
		}
	}
}

func paramsOf(v any) (params, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var p params
	err = json.Unmarshal(b, &p)
	return p, err
}

// raw returns a parameter's JSON, also where it came as a form field's text.
func (p params) raw(key string) json.RawMessage {
	b := p[key]
	var inner string
	if json.Unmarshal(b, &inner) == nil && json.Valid([]byte(inner)) && (inner[0] == '[' || inner[0] == '{') {
		return json.RawMessage(inner)
	}
	return b
}

// withoutSecrets leaves out what proves who calls, and a batch: its calls are kept
// one by one.
func (p params) withoutSecrets() params {
	p = maps.Clone(p)
	delete(p, "access_token")
	delete(p, "appsecret_proof")
	delete(p, "batch")
	return p
}

// text returns a parameter that is a string or a number.
func (p params) text(key string) string { return flexible(p[key]) }

// names returns a parameter that is a list of names: ["a","b"] or a,b.
func (p params) names(key string) []string {
	if text := p.text(key); !strings.HasPrefix(text, "[") {
		return list(text)
	}
	return list(string(p.raw(key)))
}

func flexible(b json.RawMessage) string {
	var s string
	if json.Unmarshal(b, &s) == nil {
		return s
	}
	return strings.TrimSpace(string(b))
}

// object reads a parameter that is a JSON object into v.
func (p params) object(key string, v any) *GraphError {
	b := p.raw(key)
	if len(b) == 0 || string(b) == "null" {
		return nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return bad("Param %s is not what it should be: %v", key, err)
	}
	return nil
}
