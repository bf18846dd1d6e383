package mls

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// The surface is small enough to be held in the mind: types, functions and errors are
// counted here. Constants are code points that registries give away.
func TestSurface(t *testing.T) {
	const most = 47
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			names = append(names, declared(d)...)
		}
	}
	if len(names) > most || len(names) < most/2 {
		t.Errorf("%d exported names, at most %d: %s", len(names), most, strings.Join(names, " "))
	}
}

// declared lists the exported types, functions and variables of a declaration.
func declared(d ast.Decl) (names []string) {
	add := func(id *ast.Ident) {
		if id.IsExported() {
			names = append(names, id.Name)
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			add(d.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				add(s.Name)
			case *ast.ValueSpec:
				if d.Tok == token.VAR {
					for _, id := range s.Names {
						add(id)
					}
				}
			}
		}
	}
	return names
}
