package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// judge compares the export with the devices' lists and words the result.
func (s *stage) judge() (result string, ok bool, err error) {
	path := s.path("exportacao.zip")
	if _, err := s.run("zelo-collector", "export", "-pasta", s.path("coletor"), "-o", path); err != nil {
		return "", false, err
	}
	exported, err := archive(path)
	if err != nil {
		return "", false, fmt.Errorf("cannot read the export: %w", err)
	}
	issued, err := s.issued()
	if err != nil {
		return "", false, fmt.Errorf("cannot read the devices' lists: %w", err)
	}
	s.say("Exportação para o contador: %d XML, comparados byte a byte com as listas dos dois SAT", len(exported))
	archived, sold := 0, map[string]int{}
	for _, r := range issued {
		name := "AD" + r.Key + ".xml"
		if r.Cancels != "" {
			name = "ADC" + r.Key + ".xml"
		}
		if bytes.Equal(exported[name], r.XML) {
			archived++
		} else {
			s.say("Falta ou difere no arquivo: %s", name)
		}
		sold[product(r.XML)+r.Cancels]++
	}
	doubled := 0
	for _, n := range sold {
		doubled += n - 1
	}
	lost, alarms := len(issued)-archived, len(s.alarms())
	ok = archived == len(issued) && doubled == 0 && len(exported) == len(issued) && alarms >= 2 && s.tillsHold(issued)
	return fmt.Sprintf("demo: %d documents, %d archived, %d lost, %d doubled, %d alarms, export %d, %d devices",
		len(issued), archived, lost, doubled, alarms, len(exported), len(s.devices)), ok, nil
}

// product is what a sale sold: each sale has its own.
func product(xml []byte) string {
	_, rest, _ := bytes.Cut(xml, []byte("<cProd>"))
	code, _, _ := bytes.Cut(rest, []byte("</cProd>"))
	return strconv.Quote(string(code))
}

// tillsHold reports whether the tills hold exactly the documents that exist, one for
// each sale and the cancellation.
func (s *stage) tillsHold(issued []record) bool {
	have, n := map[string]bool{}, 0
	for _, t := range s.tills {
		for _, k := range t.keys {
			have[k] = true
			n++
		}
	}
	for _, r := range issued {
		if !have[r.Key] {
			return false
		}
	}
	return len(have) == n && n == len(issued) && n == int(s.sales.Load())+1
}

// alarms are the open alarms, one line each.
func (s *stage) alarms() []string {
	out, err := s.run("zelo-collector", "alarms", "-pasta", s.path("coletor"))
	if err != nil || strings.TrimSpace(out) == "" {
		return nil
	}
	return strings.Split(strings.TrimSpace(out), "\n")
}

// archive opens an export and returns the documents in it by file name without
// folder.
func archive(path string) (map[string][]byte, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	out := map[string][]byte{}
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, ".xml") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		raw, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			return nil, err
		}
		name := f.Name[strings.LastIndexByte(f.Name, '/')+1:]
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("the export has %s twice", name)
		}
		out[name] = raw
	}
	return out, nil
}
