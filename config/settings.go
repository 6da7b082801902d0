package config

import (
	"reflect"
	"strconv"
	"strings"
)

// setting is one value that can be set: a leaf of [Config].
type setting struct {
	path  string // messenger.pages[0].id
	tag   reflect.StructTag
	field reflect.Value
}

// settings returns the leaves below a struct, in the order of its fields.
func settings(v reflect.Value, path string) []setting {
	var all []setting
	for f, field := range v.Fields() {
		key, at := f.Tag.Get("yaml"), join(path, f.Tag.Get("yaml"))
		switch {
		case key == "-":
		case isSection(f.Type):
			all = append(all, settings(field, at)...)
		case isPages(f.Type):
			for i := range field.Len() {
				all = append(all, settings(field.Index(i), item(at, i))...)
			}
		default:
			all = append(all, setting{path: at, tag: f.Tag, field: field})
		}
	}
	return all
}

// keys returns what may stand in a section, twins included.
func keys(section reflect.Type) []string {
	var all []string
	for f := range section.Fields() {
		key := f.Tag.Get("yaml")
		if key == "-" {
			continue
		}
		all = append(all, key)
		if isSecret(f.Type) {
			all = append(all, key+twin)
		}
	}
	return all
}

// field returns the field of a section that key sets, and whether key is the
// twin of a secret.
func field(section reflect.Type, key string) (f reflect.StructField, isTwin, found bool) {
	for f := range section.Fields() {
		switch name := f.Tag.Get("yaml"); {
		case name == "-":
		case name == key:
			return f, false, true
		case isSecret(f.Type) && name+twin == key:
			return f, true, true
		}
	}
	return reflect.StructField{}, false, false
}

// home returns the path of a key that stands in another section, "" when none
// does.
func home(section reflect.Type, path, key string) string {
	for f := range section.Fields() {
		name := f.Tag.Get("yaml")
		switch {
		case name == "-":
		case name == key:
			return join(path, key)
		case isSection(f.Type):
			if found := home(f.Type, join(path, name), key); found != "" {
				return found
			}
		case isPages(f.Type):
			if found := home(f.Type.Elem(), join(path, name)+"[]", key); found != "" {
				return found
			}
		}
	}
	return ""
}

// twin ends the key of a file that holds a secret.
const twin = "_file"

func isSection(t reflect.Type) bool { return t.Kind() == reflect.Struct }

func isPages(t reflect.Type) bool { return t == reflect.TypeFor[[]Page]() }

func isSecret(t reflect.Type) bool {
	return t == reflect.TypeFor[Secret]() || t == reflect.TypeFor[[]Secret]()
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// variable returns the environment variable of a path.
func variable(path string) string {
	return "USHER_" + strings.ToUpper(strings.NewReplacer(".", "_", "[", "_", "]", "").Replace(path))
}
