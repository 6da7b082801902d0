package simulator

import (
	"crypto/sha256"
	"crypto/subtle"
	_ "embed" // for the description of the API
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
)

// The control API: everything that people, other apps, faults and the clock do,
// as JSON under /_simulator/. OpenAPI describes it.
//
// Without Options.ControlToken it serves requests of this machine only: they come
// over loopback, to a loopback name, so that no web page can make them.

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI returns the OpenAPI 3.1 description of the control API, in YAML.
func OpenAPI() []byte { return append([]byte(nil), openAPI...) }

// controlPath is where the control API lives; Meta has nothing there.
const controlPath = "/_simulator/"

// Bounds of the control API.
const (
	maxControlBody = 1 << 20
	maxEntries     = 1000 // in one answer of the ledger
)

// problem is an error of the control API.
type problem struct {
	status  int
	What    string   `json:"what"`
	Where   string   `json:"where,omitempty"` // a field of the body, the query or the path
	Why     string   `json:"why"`
	Mend    string   `json:"mend,omitempty"`
	Refused *refusal `json:"refused,omitempty"`
}

// refusal is Meta's error, where it was Meta that refused.
type refusal struct {
	Status  int    `json:"status"`
	Code    int    `json:"code"`
	Subcode int    `json:"subcode,omitempty"`
	Message string `json:"message"`
}

// Error returns what went wrong, and why.
func (p *problem) Error() string { return p.What + ": " + p.Why }

// control returns the handler of the control API.
func (m *Meta) control() http.Handler {
	mux := http.NewServeMux()
	for pattern, answer := range m.controls() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxControlBody)
			v, err := answer(r)
			switch raw, ok := v.([]byte); {
			case err != nil:
				writeProblem(w, err)
			case ok:
				w.Header().Set("Content-Type", "application/yaml")
				_, _ = w.Write(raw) // a caller that left needs nothing
			default:
				writeJSON(w, http.StatusOK, v)
			}
		})
	}
	mux.HandleFunc(controlPath, func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, &problem{
			status: http.StatusNotFound, What: "nothing is there", Why: fmt.Sprintf("no route %s %s", r.Method, r.URL.Path),
			Mend: "GET " + controlPath + "openapi.yaml lists the routes",
		})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := m.mayControl(r); err != nil {
			writeProblem(w, err)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// mayControl lets those in who know the token; without one, who is on this machine.
func (m *Meta) mayControl(r *http.Request) error {
	if want := m.opt.ControlToken; want != "" {
		given := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		wanted := sha256.Sum256([]byte("Bearer " + want))
		if subtle.ConstantTimeCompare(given[:], wanted[:]) == 1 {
			return nil
		}
		return &problem{
			status: http.StatusUnauthorized, What: "not allowed", Where: "Authorization",
			Why: "it is not the control token", Mend: "send Authorization: Bearer and the token that the simulator was started with",
		}
	}
	at, overNetwork := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !overNetwork { // called in this process
		return nil
	}
	if !loopback(at.String()) || !loopback(r.Host) {
		return &problem{
			status: http.StatusForbidden, What: "not allowed", Where: "Host",
			Why:  "without a control token only this machine may control the simulator, by a loopback address",
			Mend: "start it with a control token, or ask 127.0.0.1",
		}
	}
	return nil
}

// loopback tells whether a host, with or without port, is this machine.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return host == "localhost" || net.ParseIP(strings.Trim(host, "[]")).IsLoopback()
}

// readBody reads the JSON object of a request into v, which is left as it is
// where the object is silent.
func readBody(r *http.Request, v any) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return &problem{
			status: http.StatusUnsupportedMediaType, What: "the body was not read", Where: "Content-Type",
			Why: "it is not application/json", Mend: "send Content-Type: application/json and a JSON object",
		}
	}
	b, err := io.ReadAll(r.Body)
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return &problem{
			status: http.StatusRequestEntityTooLarge, What: "the body was not read", Where: "body",
			Why: fmt.Sprintf("it is longer than %d bytes", maxControlBody), Mend: "send less at a time",
		}
	}
	if err == nil {
		err = strict(b, v)
	}
	if err == nil {
		return nil
	}
	where := "body"
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		where += "." + wrong.Field
	} else if _, key, ok := strings.Cut(err.Error(), "unknown field "); ok {
		where += "." + strings.Trim(key, `"`)
	}
	return &problem{
		status: http.StatusBadRequest, What: "the body is not what it should be", Where: where, Why: strings.TrimPrefix(err.Error(), "json: "),
		Mend: "see this route's requestBody in GET " + controlPath + "openapi.yaml",
	}
}

// writeProblem answers with an error, whatever it is.
func writeProblem(w http.ResponseWriter, err error) {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = problemOf(err)
	}
	writeJSON(w, p.status, map[string]*problem{"error": p})
}

// problemOf explains what the package's own verbs say.
func problemOf(err error) *problem {
	p := &problem{status: http.StatusUnprocessableEntity, What: "it could not be done", Why: err.Error()}
	switch refused, ok := errors.AsType[*GraphError](err); {
	case ok:
		p.What, p.Refused = "Meta refused the call", &refusal{refused.Status, refused.Code, refused.Subcode, refused.Message}
	case errors.Is(err, ErrDeed):
		p.status, p.Where, p.Mend = http.StatusBadRequest, "body", "GET "+controlPath+"verbs lists what can be done, and what it needs"
	case errors.Is(err, errNoName):
		p.status, p.Where = http.StatusBadRequest, "body"
	case errors.Is(err, ErrNobody):
		p.status, p.Where, p.Mend = http.StatusNotFound, "customer", "make the customer first: PUT "+controlPath+"customers/{psid}"
	case errors.Is(err, ErrNotThere):
		p.Where, p.Mend = "body.text", "GET "+controlPath+"customers/{psid}/phone shows what is there"
	case errors.Is(err, ErrNoClock):
		p.status = http.StatusConflict
	}
	return p
}
