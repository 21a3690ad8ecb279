// Shows the number of open windows, and has the session checked once the server closes the socket.
const output = document.querySelector('#windows');

const connect = () => {
	const line = new WebSocket(new URL('/live', location.href.replace(/^http/, 'ws')));
	let opened = false;
	line.onopen = () => { opened = true; };
	line.onmessage = ({ data }) => {
		// The deadlines may be others by now.
		if (data === 'limits') return document.dispatchEvent(new Event('portcullis-check'));
		output.textContent = data === '1' ? 'this one' : `${data}, including this one`;
	};
	line.onclose = ({ code }) => {
		output.textContent = 'not connected';
		// 4401: the session ended. A socket that never opened may have been refused for that. <portcullis-timeout> checks, and covers
		// the page if it is so.
		if (code === 4401 || !opened) document.dispatchEvent(new Event('portcullis-check'));
		if (code !== 4401) setTimeout(connect, opened ? 3000 : 30_000);
	};
};
connect();
// A page that is kept for the back button holds no socket open.
addEventListener('pageshow', ({ persisted }) => persisted && connect());
