// What another site can cause.
import assert from 'node:assert/strict';

const signIn = async ({ go, click, see, cookie }, of) => {
  await go(`/${of}/form`);
  await click('button', 'Sign in');
  await see('p', 'account of alice');
  return cookie(`__Host-${of}`);
};
const sent = async ({ requests }, path, count) => (await requests(path, count)).map(({ site, cookies, status }) => [site, /__Host-/.test(cookies), status]);

export default function (scene) {
  scene('a link of another site to a Lax session comes with its cookie', 'lax.cross.localhost', async act => {
    await signIn(act, 'lax');
    await act.go(`${act.other}/link?to=${act.origin}/lax/account`);
    await act.click('a', 'Go');
    await act.see('p', 'account of alice');
    assert.deepEqual(await sent(act, '/lax/account', 2), [['same-origin', true, '200'], ['cross-site', true, '200']]);
  });

  scene('a link of another site to a Strict session is followed once more, with its cookie', 'strict.cross.localhost', async act => {
    const before = await signIn(act, 'strict');
    await act.go(`${act.other}/link?to=${act.origin}/strict/account`);
    await act.click('a', 'Go');
    await act.see('p', 'account of alice');
    assert.deepEqual(await sent(act, '/strict/account', 3), [['same-origin', true, '200'], ['cross-site', false, '200'], ['same-origin', true, '200']]);
    assert.equal(await act.cookie('__Host-strict'), before);
  });

  for (const of of ['lax', 'strict']) {
    scene(`a form of another site comes without the ${of} cookie, is refused, and leaves it alone`, `form-${of}.cross.localhost`, async act => {
      const before = await signIn(act, of);
      await act.go(`${act.other}/form?to=${act.origin}/${of}/count`);
      await act.click('button', 'Go');
      await act.at(`/${of}/count`);
      assert.deepEqual(await sent(act, `/${of}/count`, 1), [['cross-site', false, '403']]);
      await act.go(`/${of}/account`);
      await act.see('p', 'account of alice');
      assert.equal(await act.cookie(`__Host-${of}`), before);
    });
  }
}
