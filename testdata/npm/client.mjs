// A bot's Graph calls, made by a library that knows Meta and not the simulator. It
// prints what became of each, one JSON object a line:
//
//	{"call":"sendText","result":{…}}
//	{"call":"sendText","error":{"status":400,"code":10,"subcode":2018300}}
//
// Usage, in the folder that has node_modules: node client.mjs ORIGIN routing|zero
//
// package-lock.json is made by
// npm install --package-lock-only --omit-lockfile-registry-resolved
import { createRequire } from 'node:module';

const require = createRequire(`${process.cwd()}/`);
const { MessengerClient, MessengerBatch } = require('messaging-api-messenger');

const [origin, part] = process.argv.slice(2);
const [ann, bob, cleo] = ['7000000000000001', '7000000000000002', '7000000000000003'];
const inbox = '263902037430900';

const connect = (accessToken) => new MessengerClient({
  accessToken, origin, appId: '1517776481860111', appSecret: 'app-secret',
});
const client = connect('page-token');

async function step(call, ...args) {
  return made(call, client[call](...args));
}

async function made(call, promise) {
  try {
    const result = await promise;
    console.log(JSON.stringify({ call, result }));
    return result;
  } catch (err) {
    if (!err.response) throw err; // it is the library's, or the connection's
    const { code, errorSubcode: subcode } = err.response.data.error;
    console.log(JSON.stringify({ call, error: { status: err.response.status, code, subcode, says: err.message } }));
    return undefined;
  }
}

const button = { type: 'postback', title: 'Back to bot', payload: 'BACK' };

async function routing() {
  await step('getPageInfo');
  await step('setMessengerProfile', {
    getStarted: { payload: 'START' },
    persistentMenu: [{ locale: 'default', composerInputDisabled: false, callToActions: [button] }],
  });
  await step('getMessengerProfile', ['get_started', 'persistent_menu']);
  await step('setUserPersistentMenu', ann, [{ ...button, title: 'Only you' }]);
  await step('getUserPersistentMenu', ann);
  await step('deleteUserPersistentMenu', ann);
  await step('deleteMessengerProfile', ['persistent_menu', 'get_started']);

  await step('getUserProfile', ann, { fields: ['first_name', 'last_name', 'locale'] });
  await step('getUserProfile', cleo); // she has not written
  await step('typingOn', ann);
  await step('markSeen', ann);
  await step('sendText', ann, 'Hello', { messagingType: 'RESPONSE' });
  await step('sendText', ann, 'A person?', {
    quickReplies: [{ contentType: 'text', title: 'Yes', payload: 'YES' }, { contentType: 'text', title: 'No', payload: 'NO' }],
  });
  await step('sendButtonTemplate', ann, 'You can come back.', [button, { type: 'web_url', title: 'Help', url: 'https://example.com' }]);
  await step('sendGenericTemplate', ann, [{ title: 'Tea', subtitle: 'Green', imageUrl: 'https://example.com/tea.png', buttons: [button] }]);
  await step('sendImage', ann, 'https://example.com/tea.png');
  const upload = await step('uploadImage', 'https://example.com/tea.png', { isReusable: true });
  await step('sendMediaTemplate', ann, [{ mediaType: 'image', attachmentId: upload.attachmentId }]);
  await step('sendReceiptTemplate', ann, {
    recipientName: 'Ann Lee', orderNumber: '42', currency: 'EUR', paymentMethod: 'Visa 1234', summary: { totalCost: 56.14 },
    elements: [{ title: 'Tea', price: 56.14 }],
  });
  const persona = await step('createPersona', { name: 'Mia', profilePictureUrl: 'https://example.com/mia.png' });
  await step('sendText', ann, 'Mia here', { personaId: persona.id });
  await step('getAllPersonas');
  await step('deletePersona', persona.id);
  await step('sendBatch', [
    MessengerBatch.sendText(ann, 'one of two'),
    MessengerBatch.sendText(ann, 'x'.repeat(2001)),
    MessengerBatch.getUserProfile(ann, { fields: ['first_name'] }),
  ], { includeHeaders: false });

  await step('takeThreadControl', ann, 'mine');
  await step('getThreadOwner', ann);
  await step('passThreadControl', ann, '404');
  await step('passThreadControlToPageInbox', ann, 'over to you');
  await step('getThreadOwner', ann);
  await step('sendText', ann, 'too late');
  await step('passThreadControlToPageInbox', ann);
  await step('takeThreadControl', ann);
  await step('takeThreadControl', ann);
  await step('requestThreadControl', ann);
  await step('getSecondaryReceivers');

  await step('sendText', bob, 'He wrote yesterday.');
  await step('sendText', bob, 'As an agent', { tag: 'HUMAN_AGENT' });
  await step('sendText', bob, 'With a tag that is gone', { tag: 'ACCOUNT_UPDATE' });
  await step('sendText', '404', 'Nobody');
  await step('sendText', ann, '');
  await made('getPageInfo', connect('nobody').getPageInfo());
}

async function zero() {
  await step('takeThreadControl', ann);
  await step('requestThreadControl', ann, 'may I?');
  await step('getThreadOwner', ann);
  await step('requestThreadControl', ann);
  await step('passThreadControl', ann, inbox);
  await step('requestThreadControl', ann, 'and now?');
  await step('sendText', ann, 'Everybody may.');
}

await ({ routing, zero })[part]();
