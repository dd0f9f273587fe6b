package volumes

import (
	"context"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/resource"
)

type fake struct {
	all     []resource.VolumeDetail
	made    *resource.VolumeRequest
	removed string
	err     error
}

func (f *fake) List(context.Context) ([]resource.VolumeDetail, error) { return f.all, f.err }

func (f *fake) Inspect(_ context.Context, name string) (resource.VolumeDetail, error) {
	for _, d := range f.all {
		if d.Name == name {
			return d, nil
		}
	}
	return resource.VolumeDetail{}, errdefs.With(errdefs.ErrNotFound, errors.New("get "+name+": no such volume"))
}

func (f *fake) Create(_ context.Context, r resource.VolumeRequest) (resource.VolumeDetail, error) {
	f.made = &r
	return resource.VolumeDetail{Name: r.Name, Driver: "local"}, f.err
}

func (f *fake) Remove(_ context.Context, name string) error {
	f.removed = name
	return f.err
}

func (f *fake) Prune(_ context.Context, which func(resource.VolumeDetail) bool) (gone []string, freed int64, _ error) {
	for _, d := range f.all {
		if which(d) {
			gone, freed = append(gone, d.Name), freed+5
		}
	}
	return gone, freed, f.err
}

func (f *fake) Size(context.Context, resource.VolumeDetail) (int64, error) { return 7, f.err }

func volumes() *fake {
	return &fake{all: []resource.VolumeDetail{
		{Name: "0123", Driver: "local", Anonymous: true, Labels: map[string]string{"com.docker.volume.anonymous": ""}},
		{Name: "shop_data", Driver: "local", Labels: map[string]string{"a": "b"}, Path: "/v/shop_data/_data", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Users: []string{"c1"}},
	}}
}

func ask(t *testing.T, f *fake, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	var m wire.Mux
	m.Add(Routes(f)...)
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w
}

func filters(text string) string {
	return "?filters=" + strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22").Replace(text)
}

func TestAnswers(t *testing.T) {
	const anonymous = `{"Driver":"local","Labels":{"com.docker.volume.anonymous":""},"Mountpoint":"","Name":"0123","Options":null,"Scope":"local"}`
	const data = `{"CreatedAt":"2026-01-02T03:04:05Z","Driver":"local","Labels":{"a":"b"},"Mountpoint":"/v/shop_data/_data","Name":"shop_data","Options":null,"Scope":"local"}`
	list := func(rows ...string) string {
		return `{"Volumes":[` + strings.Join(rows, ",") + `],"Warnings":null}`
	}
	for _, c := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/v1.51/volumes", 200, list(anonymous, data)},
		{"GET", "/volumes" + filters(`{"dangling":{"true":true}}`), 200, list(anonymous)},
		{"GET", "/volumes" + filters(`{"dangling":{"false":true}}`), 200, list(data)},
		{"GET", "/volumes" + filters(`{"name":{"shop":true}}`), 200, list(data)},
		{"GET", "/volumes" + filters(`{"label":{"a=c":true}}`), 200, list()},
		{"GET", "/volumes" + filters(`{"driver":{"nfs":true}}`), 200, list()},
		{"GET", "/volumes/shop_data", 200, data},
		{"GET", "/volumes/nobody", 404, `{"message":"get nobody: no such volume"}`},
		{"POST", "/volumes/prune", 200, `{"VolumesDeleted":["0123"],"SpaceReclaimed":5}`},
		{"POST", "/volumes/prune" + filters(`{"all":{"1":true}}`), 200, `{"VolumesDeleted":["0123","shop_data"],"SpaceReclaimed":10}`},
		{"POST", "/v1.41/volumes/prune" + filters(`{"label!":{"a":true}}`), 200, `{"VolumesDeleted":["0123"],"SpaceReclaimed":5}`},
	} {
		w := ask(t, volumes(), c.method, c.path, "")
		if got := strings.TrimSpace(w.Body.String()); w.Code != c.status || got != c.want {
			t.Errorf("%s %s: %d %s\nwant %s", c.method, c.path, w.Code, got, c.want)
		}
	}
}

func TestCreate(t *testing.T) {
	f := &fake{}
	w := ask(t, f, "POST", "/volumes/create", `{"Name":"v","Driver":"local","DriverOpts":{"type":"tmpfs"},"Labels":{"a":"b"}}`)
	want := &resource.VolumeRequest{Name: "v", Driver: "local", Options: map[string]string{"type": "tmpfs"}, Labels: map[string]string{"a": "b"}}
	if w.Code != 201 || !reflect.DeepEqual(f.made, want) {
		t.Errorf("%d %s, made %+v", w.Code, w.Body, f.made)
	}
	for body, status := range map[string]int{`{"Name":"v","ClusterVolumeSpec":{"Group":"g"}}`: 501, `{"Name":"v","Size":5}`: 400, `{`: 400} {
		f := &fake{}
		if w := ask(t, f, "POST", "/volumes/create", body); w.Code != status || f.made != nil {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

func TestRemove(t *testing.T) {
	missing, used := errdefs.With(errdefs.ErrNotFound, errors.New("x")), errdefs.With(errdefs.ErrConflict, errors.New("x"))
	for _, c := range []struct {
		err    error
		query  string
		status int
	}{{nil, "", 204}, {missing, "", 404}, {missing, "?force=1", 204}, {used, "", 409}, {used, "?force=1", 409}} {
		f := &fake{err: c.err}
		if w := ask(t, f, "DELETE", "/volumes/v"+c.query, ""); w.Code != c.status || f.removed != "v" {
			t.Errorf("%v %s: %d %s", c.err, c.query, w.Code, w.Body)
		}
	}
}

func TestUsage(t *testing.T) {
	rows, err := Usage(t.Context(), volumes())
	if err != nil || len(rows) != 2 || rows[0].UsageData.RefCount != 0 || rows[1].UsageData.RefCount != 1 || rows[1].UsageData.Size != 7 {
		t.Errorf("%+v, %v", rows, err)
	}
}
