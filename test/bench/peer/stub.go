package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
)

// A stub is an upstream that costs next to nothing beside what is measured. It
// checks that every metric it is asked for carries the tenant that the metric's
// name ends with: a query enforced for one caller and sent for another shows.
type stub struct {
	small, rules, streamHead, streamBlock []byte
}

// The spellings by which the check finds the tenant that a selector was meant
// for, and the one that it holds, or the first of several. Tenants have five letters.
var (
	meant   = []byte("_of_")
	held    = []byte("tenant_id%3D%22")
	several = []byte("tenant_id%3D~%22")
)

const (
	tenantLen    = 5
	streamBlocks = 200 // of about 1 MB
)

func serveStub(address string, ruleGroups int) error {
	ln, err := net.Listen("tcp", address) // who connects now waits for what follows
	if err != nil {
		return err
	}
	s := &stub{
		small:       answer(matrix(3, 10)),
		rules:       answer(rules(ruleGroups, 20)),
		streamHead:  []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"),
		streamBlock: []byte(series(58, 720)),
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go s.serve(conn)
	}
}

func (s *stub) serve(conn net.Conn) {
	defer conn.Close()
	br := bufio.NewReaderSize(conn, 64<<10)
	var asked []byte
	for {
		var err error
		if asked, err = readRequest(br, asked[:0]); err != nil {
			return
		}
		switch {
		case bytes.Contains(asked, []byte("/api/v1/rules")):
			_, err = conn.Write(s.rules)
		case !sameTenants(asked):
			fmt.Fprintf(os.Stderr, "stub: not the token's tenant, or not everywhere: %.2000s\n", asked)
			_, err = io.WriteString(conn, "HTTP/1.1 500 Wrong Tenant\r\nContent-Length: 0\r\n\r\n")
		case bytes.Contains(asked, []byte("streamed_")):
			err = s.stream(conn)
		default:
			_, err = conn.Write(s.small)
		}
		if err != nil {
			return
		}
	}
}

// readRequest appends the request line and the body, which hold all parameters.
func readRequest(br *bufio.Reader, asked []byte) ([]byte, error) {
	length := 0
	for first := true; ; first = false {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(line) <= 2 {
			break
		}
		if first {
			asked = append(asked, line...)
		} else if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return nil, err
			}
		}
	}
	n := len(asked)
	asked = append(asked, make([]byte, length)...)
	_, err := io.ReadFull(br, asked[n:])
	return asked, err
}

// sameTenants reports whether there is a selector, and each has the matcher of
// the tenant it was meant for.
func sameTenants(asked []byte) bool {
	i := bytes.Index(asked, meant)
	if i < 0 || i+len(meant)+tenantLen > len(asked) {
		return false
	}
	tenant := asked[i+len(meant):][:tenantLen]
	n := bytes.Count(asked, meant)
	return bytes.Count(asked, fmt.Appendf(nil, "%s%s", meant, tenant)) == n &&
		bytes.Count(asked, held)+bytes.Count(asked, several) == n &&
		bytes.Count(asked, fmt.Appendf(nil, "%s%s%%22", held, tenant))+bytes.Count(asked, fmt.Appendf(nil, "%s%s%%7C", several, tenant)) == n
}

func (s *stub) stream(conn net.Conn) error {
	chunk := func(b []byte) error {
		size := fmt.Appendf(nil, "%x\r\n", len(b))
		_, err := (&net.Buffers{size, b, []byte("\r\n")}).WriteTo(conn)
		return err
	}
	if _, err := conn.Write(s.streamHead); err != nil {
		return err
	}
	if err := chunk([]byte(`{"status":"success","data":{"resultType":"matrix","result":[`)); err != nil {
		return err
	}
	for range streamBlocks {
		if err := chunk(s.streamBlock); err != nil {
			return err
		}
	}
	if err := chunk([]byte(`{"metric":{},"values":[]}]}}`)); err != nil {
		return err
	}
	return chunk(nil)
}

func answer(body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sun, 23 Nov 2025 08:00:00 GMT\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func matrix(n, samples int) string {
	return `{"status":"success","data":{"resultType":"matrix","result":[` + strings.TrimSuffix(series(n, samples), ",") + `]}}`
}

// series are n series with a comma behind each.
func series(n, samples int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"metric":{"code":"200","instance":"10.0.%d.17:8080","job":"api","pod":"api-7d9c5b6f4-x%04d"},"values":[`, i%256, i)
		for j := range samples {
			if j > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `[%d,"%d.25"]`, 1700000000+15*j, 1000+i*j%1000)
		}
		b.WriteString(`]},`)
	}
	return b.String()
}

// rules are groups of rules, of ten tenants in turn.
func rules(groups, perGroup int) string {
	var b strings.Builder
	b.WriteString(`{"status":"success","data":{"groups":[`)
	for g := range groups {
		if g > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"group-%d","file":"/etc/rules/%d.yaml","interval":30,"limit":0,"evaluationTime":0.001,"lastEvaluation":"2025-11-23T08:00:00.123456789Z","rules":[`, g, g)
		for r := range perGroup {
			if r > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"state":"inactive","name":"HighErrorRate%d","query":"sum(rate(http_requests_total{code=~\"5..\"}[5m])) > %d","duration":300,"keepFiringFor":0,"labels":{"severity":"page","tenant_id":"t%04d"},"annotations":{"summary":"Too many errors"},"alerts":[],"health":"ok","evaluationTime":0.0004,"lastEvaluation":"2025-11-23T08:00:00.123456789Z","type":"alerting"}`, r, r, r%10)
		}
		b.WriteString(`]}`)
	}
	b.WriteString(`]}}`)
	return b.String()
}
